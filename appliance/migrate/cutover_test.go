package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

var errInjected = errors.New("injected")

// world is a System that counts and fails where it is told to.
type world struct {
	calls  []string
	failAt string
	held   bool
	fenced bool
}

func (w *world) call(name string) error {
	w.calls = append(w.calls, name)
	if w.failAt == name {
		return errInjected
	}
	return nil
}

func (w *world) Quiesce(context.Context) error { return w.call("quiesce") }
func (w *world) Resume() error {
	w.held = false
	return w.call("resume")
}
func (w *world) Hold(context.Context) error {
	w.held = true
	return w.call("hold")
}
func (w *world) Commit(context.Context, []Disk) (string, error) { return "7", w.call("commit") }
func (w *world) Verify(_ context.Context, _ []Disk, point string) error {
	if point != "7" {
		return fmt.Errorf("verify of point %q", point)
	}
	return w.call("verify")
}
func (w *world) Fence(context.Context, string, string) error {
	err := w.call("fence")
	w.fenced = w.fenced || err == nil
	return err
}
func (w *world) Promote(context.Context, []Disk) error { return w.call("promote") }
func (w *world) Start(_ context.Context, _ []Disk, point string) error {
	if point != "7" {
		return fmt.Errorf("start at point %q", point)
	}
	return w.call("start")
}

// TestEveryStepFails lets each step fail once, with the process ending there, and tries again.
func TestEveryStepFails(t *testing.T) {
	for _, s := range steps {
		t.Run(string(s), func(t *testing.T) {
			store, w := NewStore(t.TempDir()), &world{failAt: string(s)}
			m := &Migration{ID: "m", State: Following}
			if err := Cutover(t.Context(), w, store, m, func(Step) {}); !errors.Is(err, errInjected) {
				t.Fatalf("error is %v", err)
			}
			beyond := slices.Contains([]Step{Fence, Promote, Start}, s)
			if resumed := slices.Contains(w.calls, "resume"); resumed == beyond {
				t.Errorf("resumed %v at %s: %v", resumed, s, w.calls)
			}
			if w.held && !beyond {
				t.Error("writes are held still")
			}
			m, err := store.Load()
			if err != nil || !m.Active() || (m.State == Fenced) != beyond || m.Error == "" {
				t.Fatalf("kept: %+v, %v", m, err)
			}
			before := len(w.calls)
			w.failAt = ""
			if err := Cutover(t.Context(), w, store, m, func(Step) {}); err != nil {
				t.Fatal(err)
			}
			again := w.calls[before:]
			if beyond && (slices.Contains(again, "hold") || !slices.Equal(again, stepNames(s))) {
				t.Errorf("behind the point of no return %v was repeated", again)
			}
			if !beyond && !slices.Equal(again, stepNames(Quiesce)) {
				t.Errorf("the second time did %v", again)
			}
			m, err = store.Load()
			if err != nil || m.State != Done || m.Point != "7" || !w.fenced || len(m.Steps) != len(steps) {
				t.Errorf("kept: %+v, %v", m, err)
			}
			if err := Cutover(t.Context(), w, store, m, func(Step) {}); err == nil {
				t.Error("a migration that is done was cut over")
			}
		})
	}
}

// stepNames are the steps from one on.
func stepNames(from Step) []string {
	var out []string
	for _, s := range steps[slices.Index(steps, from):] {
		out = append(out, string(s))
	}
	return out
}
