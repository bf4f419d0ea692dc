package scsi

import (
	"slices"
	"sync"
)

// span is a byte range [off, end) that a command holds. An exclusive span overlaps no other; plain ones, held by
// ordinary writes, may overlap each other.
type span struct {
	off, end  int64
	exclusive bool
	ready     chan struct{} // made when the span has to wait; closed when it should look again
}

func (s *span) conflicts(o *span) bool {
	return (s.exclusive || o.exclusive) && o.off < s.end && s.off < o.end
}

// rangeLock orders commands that must be atomic (COMPARE AND WRITE, ORWRITE) against all that change the medium. Spans
// that conflict are granted in the order of their arrival.
type rangeLock struct {
	mu    sync.Mutex
	spans []*span // held and waiting, in order of arrival
}

// lock takes [off, off+n) and waits for it. s is the caller's place for it until unlock.
func (l *rangeLock) lock(s *span, off, n int64, exclusive bool) {
	*s = span{off: off, end: off + n, exclusive: exclusive}
	l.mu.Lock()
	blocked := slices.ContainsFunc(l.spans, s.conflicts)
	l.spans = append(l.spans, s)
	for blocked {
		ready := make(chan struct{})
		s.ready = ready
		l.mu.Unlock()
		<-ready
		l.mu.Lock()
		at := slices.Index(l.spans, s)
		blocked = slices.ContainsFunc(l.spans[:at], s.conflicts)
	}
	l.mu.Unlock()
}

// unlock gives s back.
func (l *rangeLock) unlock(s *span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.spans, s)
	for _, later := range l.spans[at+1:] {
		if later.ready != nil && later.conflicts(s) {
			close(later.ready)
			later.ready = nil
		}
	}
	l.spans = slices.Delete(l.spans, at, at+1)
}
