package intercept

import (
	"sync"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/todo"
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

	hidden *todo.Map // reads as zeroes: the provider does not have it at this point; nil: nothing
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
	p, at := p[:n], off
	var err error
	read := func(to int64) {
		if at < to && err == nil {
			err = v.pin.group.readThrough(v.pin.stack, v.base, p[at-off:to-off], at, &v.pin.past)
		}
	}
	v.hidden.Within(off, off+n, func(from, to int64) bool {
		read(from)
		clear(p[from-off : to-off])
		at = to
		return err == nil
	})
	read(off + n)
	return err
}

// pinned is a point that views share: the layers up to there over the base as it is, or was, there. Reads after release
// fail.
type pinned struct {
	past
	table *table // volumes that exist there

	mu       sync.RWMutex
	stack    *stack
	released bool
}

// pinLocked pins the point that ends at end, with the layers that the base does not hold. Called with the stacks locked.
func (g *Group) pinLocked(end ident.Seq, t *table) *pinned {
	var layers []*layer
	for _, l := range g.stacks.current.Load().layers {
		if l.end != 0 && l.end <= end {
			layers = append(layers, l)
		}
	}
	p := &pinned{past: past{group: g, end: end}, table: t, stack: g.stacks.newLocked(layers)}
	p.stack.view = true
	g.stacks.views[p] = struct{}{}
	return p
}

// release gives the point up; it waits for reads that are under way.
func (p *pinned) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return
	}
	p.released = true
	p.group.stacks.Lock()
	delete(p.group.stacks.views, p)
	p.group.stacks.Unlock()
	p.group.stacks.unpin(p.stack)
}

// rebase makes p do without its oldest layer, l, which the base holds now, so that the log's segments can be used again.
func (p *pinned) rebase(l *layer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released || len(p.stack.layers) == 0 || p.stack.layers[0] != l {
		return
	}
	old := p.stack
	p.group.stacks.Lock()
	p.stack = p.group.stacks.newLocked(old.layers[1:])
	p.stack.view = true
	p.group.stacks.Unlock()
	p.group.stacks.unpin(old)
}
