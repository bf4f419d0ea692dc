package intercept

import (
	"sync"

	"github.com/weirstor/weir/target"
)

// View is the content of one volume at one log position. A read beyond the size that the volume had there yields
// zeroes. Safe for concurrent use; valid until the epoch that it came with is released.
type View interface {
	ReadAt(p []byte, off int64) error
}

// view is a View through a pinned stack.
type view struct {
	pin  *pinned
	base *base
	size int64 // bytes; 0: the volume did not exist
}

// pinned is a stack that views share. Reads after release fail.
type pinned struct {
	mu       sync.RWMutex
	group    *Group
	stack    *stack
	released bool
}

func (v *view) ReadAt(p []byte, off int64) error {
	n := max(0, min(int64(len(p)), v.size-off))
	clear(p[n:])
	if n == 0 {
		return nil
	}
	v.pin.mu.RLock()
	defer v.pin.mu.RUnlock()
	if v.pin.released {
		return target.ErrClosed
	}
	return v.pin.group.readThrough(v.pin.stack, v.base, p[:n], off)
}

// release gives the stack up; it waits for reads that are under way.
func (p *pinned) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.released {
		p.released = true
		p.group.stacks.unpin(p.stack)
	}
}
