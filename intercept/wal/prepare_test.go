package wal

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/vfs"
)

// New files are not filled with zeroes while writers need them at once, or use up segments quickly.
func TestHurried(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		name   string
		ready  int
		filled time.Duration // that the last segment took; 0: none was filled yet
		since  time.Duration // that this one was begun
		want   bool
	}{
		{"nothing written", 1, 0, time.Hour, false},
		{"none ready", 0, 0, time.Hour, true},
		{"a burst", 1, 100 * time.Millisecond, 10 * time.Millisecond, true},
		{"after a burst", 1, 100 * time.Millisecond, 2 * time.Second, false},
		{"slow writers", 1, time.Minute, 10 * time.Millisecond, false},
	} {
		l := newLog(Options{SegmentBytes: 32 << 20})
		l.mu.ready = make([]*segment, c.ready)
		l.mu.filled, l.mu.rolled = c.filled, at.Add(-c.since)
		if got := l.hurried(at); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A disk without room for the header of a segment that is used again costs the log none of its budget: with room again
// it takes as much as before.
func TestNoSpaceKeepsBudget(t *testing.T) {
	f := newFixture(t)
	fill := func() (n int, last *Batch) {
		for {
			b, err := f.append(1, 9000)
			if errors.Is(err, ErrFull) {
				return n, last
			}
			if err != nil {
				t.Fatal(err)
			}
			n, last = n+1, b
		}
	}
	room, last := fill()
	f.sync()
	var full atomic.Bool
	full.Store(true)
	f.fs.SetHook(func(op vfs.Op) error {
		if full.Load() && (op.Name == "allocate" || op.Name == "write" && op.Off == 0) {
			return syscall.ENOSPC
		}
		return nil
	})
	f.log.Free(f.log.Segment(last.Records[0].Pos))
	if n, _ := fill(); n >= room {
		t.Fatalf("%d batches on a full disk, %d before", n, room)
	}
	full.Store(false)
	last = f.mustAppend(1, 9000)
	f.sync()
	f.log.Free(f.log.Segment(last.Records[0].Pos))
	if n, _ := fill(); n < room-2 {
		t.Errorf("%d batches with room again, %d before", n, room)
	}
}
