package intercept

import (
	"context"
	"errors"
	"testing"

	"github.com/weirstor/weir/target"
)

// TestHold holds a group under writers: what is acknowledged by then is in the epoch sealed next, nothing comes behind it,
// and the writers go on when they are let go.
func TestHold(t *testing.T) {
	g, _ := create(t, testOptions())
	v := mustCreateVolume(t, g, "v", 4*mib)
	const writers = 4
	stop, done := make(chan struct{}), make(chan error, writers)
	for i := range writers {
		go func() {
			p := make([]byte, 4096)
			for n := 0; ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				p[0] = byte(n + 1)
				if err := v.WriteAt(p, int64(i)*mib, false); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range 20 {
		g.Hold()
		end, err := g.Seal(context.Background(), "")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := g.Seal(context.Background(), ""); err != nil || again != end {
			t.Fatalf("sealed up to %d, then %d (%v): something was written behind a hold", end, again, err)
		}
		g.Release()
	}
	close(stop)
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	closeGroup(t, g)
}

// TestHeldWritersAreFenced fences a held group: the writes that wait fail and are not there.
func TestHeldWritersAreFenced(t *testing.T) {
	g, _ := create(t, testOptions())
	v := mustCreateVolume(t, g, "v", mib)
	g.Hold()
	done := make(chan error, 1)
	go func() { done <- v.WriteAt([]byte{1}, 0, false) }()
	g.Fence(errors.New("cut over"))
	if err := <-done; !errors.Is(err, target.ErrFenced) {
		t.Errorf("a held write ended with %v, want ErrFenced", err)
	}
	p := []byte{9}
	if err := v.ReadAt(p, 0); err != nil || p[0] != 0 {
		t.Errorf("read %d, %v", p[0], err)
	}
	if err := g.Close(); !errors.Is(err, target.ErrFenced) {
		t.Errorf("close: %v", err)
	}
}
