package nbd

import (
	"errors"
	"sync"
	"sync/atomic"
)

// errBroken ends a wait for memory when the connection does.
var errBroken = errors.New("connection is broken")

// ownLeast and ownMost bound the part of the memory for all that a connection has for itself, in bytes.
const (
	ownLeast = 1 << 20
	ownMost  = 16 << 20
)

// pool is memory for what does not fit into the connections' own parts: very large reads, and deep queues of large
// ones. Whoever holds some of it can keep others waiting who want it too, but nobody's own part.
type pool struct {
	own atomic.Int64 // bytes that each connection has for itself; follows their number

	mu      sync.Mutex
	free    int64
	waiting map[*budget]struct{}
}

func newPool(free int64) *pool {
	p := &pool{free: free, waiting: make(map[*budget]struct{})}
	p.share(1, free)
	return p
}

// share divides total among n connections.
func (p *pool) share(n int, total int64) {
	p.own.Store(min(ownMost, max(ownLeast, total/int64(max(n, 1)))))
}

// take takes n bytes, or notes that b waits for them.
func (p *pool) take(b *budget, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free < n {
		p.waiting[b] = struct{}{}
		return false
	}
	p.free -= n
	return true
}

func (p *pool) give(n int64) {
	p.mu.Lock()
	p.free += n
	var waiting map[*budget]struct{}
	if len(p.waiting) > 0 {
		waiting, p.waiting = p.waiting, make(map[*budget]struct{})
	}
	p.mu.Unlock()
	for b := range waiting {
		b.wake()
	}
}

func (p *pool) forget(b *budget) {
	p.mu.Lock()
	delete(p.waiting, b)
	p.mu.Unlock()
}

// budget bounds the bytes in flight of one connection and, through the pool, of all.
//
// Invariant: own + pooled are what its grants hold together, at most most.
type budget struct {
	pool *pool
	most int64

	mu     sync.Mutex
	freed  sync.Cond
	own    int64
	pooled int64
	broken bool
}

// grant is memory taken from a budget.
type grant struct {
	n      int64
	pooled bool
}

func (b *budget) init(p *pool, most int64) {
	b.pool, b.most = p, most
	b.freed.L = &b.mu
}

// acquire waits until n bytes, at most b.most, are free, or the budget is closed.
func (b *budget) acquire(n int64) (grant, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.broken {
		if g, ok := b.tryLocked(n); ok {
			return g, nil
		}
		b.freed.Wait()
	}
	return grant{}, errBroken
}

// tryAcquire takes n bytes if they are free.
func (b *budget) tryAcquire(n int64) (grant, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tryLocked(n)
}

func (b *budget) tryLocked(n int64) (grant, bool) {
	switch {
	case b.own+b.pooled+n > b.most:
		return grant{}, false
	case b.own+n <= b.pool.own.Load():
		b.own += n
		return grant{n: n}, true
	case b.pool.take(b, n):
		b.pooled += n
		return grant{n: n, pooled: true}, true
	}
	return grant{}, false
}

// release gives g back; the zero grant is nothing.
func (b *budget) release(g grant) {
	b.mu.Lock()
	if g.pooled {
		b.pooled -= g.n
	} else {
		b.own -= g.n
	}
	b.freed.Broadcast()
	b.mu.Unlock()
	if g.pooled {
		b.pool.give(g.n)
	}
}

func (b *budget) wake() {
	b.mu.Lock()
	b.freed.Broadcast()
	b.mu.Unlock()
}

// close ends all waits.
func (b *budget) close() {
	b.mu.Lock()
	b.broken = true
	b.freed.Broadcast()
	b.mu.Unlock()
	b.pool.forget(b)
}
