package iscsi

import (
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// budget shares a number of bytes among the tasks of a connection, first come, first served: data-in, and data-out as
// far as it is solicited. A task that does not fit waits. What comes unsolicited is not in it: the command window bounds
// that. So whoever was given a share needs nothing else to come to its end, and gives it back.
//
// Invariant: used is what the tasks hold together; it is more than the limit only while the limit has just been
// lowered, or while one task alone is larger than it.
type budget struct {
	limit *atomic.Int64 // bytes; changes with the number of sessions

	mu      sync.Mutex
	used    int64
	waiting []*task
}

// acquire takes t.wants bytes for t and reports whether it may go on. Otherwise t waits and will be returned by
// release.
func (b *budget) acquire(t *task) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 && b.fitsLocked(t) {
		b.grantLocked(t)
		return true
	}
	b.waiting = append(b.waiting, t)
	return false
}

func (b *budget) fitsLocked(t *task) bool { return b.used == 0 || b.used+t.wants <= b.limit.Load() }

func (b *budget) grantLocked(t *task) {
	b.used += t.wants
	t.held += t.wants
	t.wants = 0
}

// release gives n bytes back. It returns the task that has waited longest and may go on now, if any; after one, call
// it again with 0.
func (b *budget) release(n int64) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if len(b.waiting) == 0 || !b.fitsLocked(b.waiting[0]) {
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

// shareOf returns the bytes that each of n sessions may use: an equal part of what there is for all, so that none of
// them can take from another, and never less than the largest command needs.
func (o *Options) shareOf(n int) int64 {
	return min(o.Memory, max(scsi.MaxTransfer, o.MemoryTotal/int64(max(n, 1))))
}
