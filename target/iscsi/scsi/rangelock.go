package scsi

import "sync"

// span is a byte range [off, end) that a command holds. An exclusive span overlaps no other; plain ones, held by
// ordinary writes, may overlap each other.
type span struct {
	off, end  int64
	exclusive bool
	held      bool
}

// rangeLock orders commands that must be atomic (COMPARE AND WRITE, ORWRITE) against all that change the medium.
// Waiters are not queued: an atomic command that meets a steady stream of overlapping writes waits for a gap.
type rangeLock struct {
	mu      sync.Mutex
	held    []*span
	changed *sync.Cond // made at the first wait
}

func (l *rangeLock) lock(s *span, off, n int64, exclusive bool) {
	*s = span{off: off, end: off + n, exclusive: exclusive, held: true}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.blockedLocked(s) {
		if l.changed == nil {
			l.changed = sync.NewCond(&l.mu)
		}
		l.changed.Wait()
	}
	l.held = append(l.held, s)
}

func (l *rangeLock) blockedLocked(s *span) bool {
	for _, h := range l.held {
		if (h.exclusive || s.exclusive) && h.off < s.end && s.off < h.end {
			return true
		}
	}
	return false
}

func (l *rangeLock) unlock(s *span) {
	if !s.held {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.held = false
	for i, h := range l.held {
		if h == s {
			last := len(l.held) - 1
			l.held[i] = l.held[last]
			l.held[last] = nil
			l.held = l.held[:last]
			break
		}
	}
	if l.changed != nil {
		l.changed.Broadcast()
	}
}
