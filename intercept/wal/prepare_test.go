package wal

import (
	"testing"
	"time"
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
