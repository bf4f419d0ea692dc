package iscsi

import "sync"

// budget shares a number of bytes among the tasks of a connection, first come, first served. A task that does not fit
// waits; what has to be accepted anyway (unsolicited data) may overdraw it.
type budget struct {
	mu      sync.Mutex
	free    int64
	waiting []*task
}

// acquire takes t.wants bytes for t and reports whether it may go on. Otherwise t waits and will be returned by
// release.
func (b *budget) acquire(t *task) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 && b.free >= t.wants {
		b.grantLocked(t)
		return true
	}
	b.waiting = append(b.waiting, t)
	return false
}

// overdraw takes t.wants bytes at once.
func (b *budget) overdraw(t *task) {
	b.mu.Lock()
	b.grantLocked(t)
	b.mu.Unlock()
}

func (b *budget) grantLocked(t *task) {
	b.free -= t.wants
	t.held += t.wants
	t.wants = 0
}

// release gives n bytes back. It returns the task that has waited longest and may go on now, if any; after one, call
// it again with 0.
func (b *budget) release(n int64) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if len(b.waiting) == 0 || b.free < b.waiting[0].wants {
		return nil
	}
	t := b.waiting[0]
	b.waiting[0] = nil
	b.waiting = b.waiting[1:]
	b.grantLocked(t)
	return t
}

// forget removes a waiting task and reports whether it was waiting.
func (b *budget) forget(t *task) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == t {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return true
		}
	}
	return false
}
