package intercept

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

// commitOne takes the next epoch and records it as committed.
func commitOne(t *testing.T, g *Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := g.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}
	if err := g.Committed(e, p, nil); err != nil {
		t.Fatal(err)
	}
	e.Release()
}

// waiting returns when n calls wait for a commit.
func waiting(t *testing.T, g *Group, n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for g.SyncStatus().Waiting != n {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls wait, want %d", g.SyncStatus().Waiting, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// later calls f and returns where its result appears.
func later(f func() error) <-chan error {
	out := make(chan error, 1)
	go func() { out <- f() }()
	return out
}

// result waits for it.
func result(t *testing.T, c <-chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the call does not return")
		return nil
	}
}

// durable are the calls that mode sync holds back, each after a write.
func durable(v *Volume) map[string]func() error {
	data := make([]byte, 512)
	data[0] = 1
	return map[string]func() error{
		"flush": func() error {
			if err := v.WriteAt(data, 0, false); err != nil {
				return err
			}
			return v.Flush()
		},
		"write":  func() error { return v.WriteAt(data, 512, true) },
		"zeroes": func() error { return v.WriteZeroes(0, 512, target.ZeroFUA) },
		"trim":   func() error { return v.Trim(0, 512, true) },
	}
}

// In mode sync a Flush and a FUA return only after the commit (guarantee G3); other writes do not wait.
func TestSyncWaitsForTheCommit(t *testing.T) {
	g, _ := create(t, testOptions())
	defer closeGroup(t, g)
	v := mustCreateVolume(t, g, "v", mib)
	g.SetSync(SyncMode{On: true})
	for name, call := range durable(v) {
		done := later(call)
		waiting(t, g, 1)
		if err := v.WriteAt(make([]byte, 512), 4096, false); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("%s returned %v before its commit", name, err)
		default:
		}
		commitOne(t, g)
		if err := result(t, done); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	end := g.log.Watermark()
	if err := g.awaitCommit(g.settledEnd()); err != nil || end < g.settledEnd() {
		t.Errorf("what is committed waits: %v", err)
	}
}

// A wait ends with the mode, with a fence and with the doors; only the first of them is a success.
func TestSyncWaitsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Group)
		want error
	}{
		"async":    {func(g *Group) { g.SetSync(SyncMode{}) }, nil},
		"fenced":   {func(g *Group) { g.Fence(errors.New("taken over")) }, target.ErrFenced},
		"released": {(*Group).ReleaseSync, target.ErrClosed},
	} {
		g, _ := create(t, testOptions())
		v := mustCreateVolume(t, g, "v", mib)
		g.SetSync(SyncMode{On: true})
		var calls []<-chan error
		for _, call := range durable(v) {
			calls = append(calls, later(call))
		}
		waiting(t, g, len(calls))
		c.end(g)
		for _, done := range calls {
			if err := result(t, done); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: a call ended with %v", name, err)
			}
		}
		if err := g.Close(); err != nil && !errors.Is(err, target.ErrFenced) {
			t.Error(err)
		}
	}
}

// With DegradeAfter a group goes on without its provider, tells of it, and waits again when commits keep up.
func TestSyncDegrades(t *testing.T) {
	opt := testOptions()
	told := make(chan bool, 4)
	opt.OnDegraded = func(degraded bool, _ string) { told <- degraded }
	g, _ := create(t, opt)
	defer closeGroup(t, g)
	v := mustCreateVolume(t, g, "v", mib)
	g.SetSync(SyncMode{On: true, DegradeAfter: time.Millisecond})
	call := durable(v)["flush"]
	if err := result(t, later(call)); err != nil {
		t.Fatal(err)
	}
	if !<-told || !g.SyncStatus().Degraded {
		t.Fatal("it did not degrade")
	}
	if err := result(t, later(call)); err != nil {
		t.Fatal(err)
	}
	g.SetSync(SyncMode{On: true, DegradeAfter: time.Hour})
	g.degrade(true, "again")
	<-told
	if _, err := g.Seal(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	commitOne(t, g)
	if <-told || g.SyncStatus().Degraded {
		t.Fatal("it stays degraded although commits keep up")
	}
	done := later(call)
	waiting(t, g, 1)
	commitOne(t, g)
	if err := result(t, done); err != nil {
		t.Fatal(err)
	}
}
