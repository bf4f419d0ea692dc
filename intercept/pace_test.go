package intercept

import (
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/wal"
)

func TestPacer(t *testing.T) {
	var p pacer
	now, tail := time.Unix(1, 0), wal.Pos(5<<20)
	for i, step := range []struct {
		after time.Duration
		grown wal.Pos
		busy  bool
	}{
		{0, 0, false},
		{time.Second, 1 << 20, false},
		{100 * time.Millisecond, 8 << 20, true},
		{paceTick / 2, 0, true}, // too soon to tell
		{paceTick, 0, false},
		{time.Hour, 8 << 20, false},
		{paceTick, 8 << 20, true},
		{paceTick, 100 << 10, false},
	} {
		now, tail = now.Add(step.after), tail+step.grown
		if got := p.look(tail, now); got != step.busy {
			t.Errorf("step %d: busy %v, want %v", i, got, step.busy)
		}
	}
}

// Destaging waits while the doors are busy, and goes on when half of the log is full although they still are.
func TestDestageYields(t *testing.T) {
	g, _ := create(t, Options{LogBudget: 64 << 20, EpochBytes: 4 << 20})
	g.SetReplication(false)
	defer closeGroup(t, g)
	v := mustCreateVolume(t, g, "v", 16<<20)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i)*3 + 1
	}
	deadline := time.Now().Add(time.Minute)
	for i := int64(0); g.baseEnd.Load() == 0; i++ {
		if err := v.WriteAt(data, i%16<<20, false); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was destaged though the log is half full")
		}
	}
}
