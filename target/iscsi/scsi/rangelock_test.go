package scsi

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Spans that conflict are never held together, all are granted, and nothing is left behind.
func TestRangeLockExcludes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l rangeLock
		var mu sync.Mutex
		held := map[*span]bool{}
		var wg sync.WaitGroup
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			off := rapid.Int64Range(0, 20).Draw(t, "off")
			n := rapid.Int64Range(0, 8).Draw(t, "n")
			exclusive := rapid.Bool().Draw(t, "exclusive")
			wg.Go(func() {
				var s span
				l.lock(&s, off, n, exclusive)
				mu.Lock()
				for o := range held {
					if o.conflicts(&s) {
						t.Errorf("[%d,%d) is held beside [%d,%d)", s.off, s.end, o.off, o.end)
					}
				}
				held[&s] = true
				mu.Unlock()
				mu.Lock()
				delete(held, &s)
				mu.Unlock()
				l.unlock(&s)
			})
		}
		wg.Wait()
		if len(l.spans) != 0 {
			t.Errorf("%d spans are left", len(l.spans))
		}
	})
}

// An atomic command does not starve behind a stream of writes: those that come after it wait for it.
func TestRangeLockOrder(t *testing.T) {
	var l rangeLock
	var first, atomic, later span
	l.lock(&first, 0, 10, false)
	order := make(chan string, 2)
	entered := func(n int) { // waits until n spans are in the queue
		for {
			l.mu.Lock()
			got := len(l.spans)
			l.mu.Unlock()
			if got == n {
				return
			}
		}
	}
	go func() { l.lock(&atomic, 5, 10, true); order <- "atomic"; l.unlock(&atomic) }()
	entered(2)
	go func() { l.lock(&later, 5, 10, false); order <- "later"; l.unlock(&later) }()
	entered(3)
	l.unlock(&first)
	if a, b := <-order, <-order; a != "atomic" || b != "later" {
		t.Errorf("granted %s, then %s", a, b)
	}
}
