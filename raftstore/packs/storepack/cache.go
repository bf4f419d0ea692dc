package storepack

import (
	"container/list"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cache keeps the decoded frames that were used last.
type cache struct {
	bytesMax int64

	mu     sync.Mutex
	bytes  int64
	order  list.List // of *cached, the one used last in front
	frames map[Ref]*list.Element
}

type cached struct {
	ref   Ref
	frame *Frame
}

func newCache(bytesMax int64) *cache {
	return &cache{bytesMax: bytesMax, frames: map[Ref]*list.Element{}}
}

// cost is what a frame is counted as; a frame without blocks costs its bookkeeping.
func cost(f *Frame) int64 { return int64(cap(f.Data)) + 512 + int64(len(f.Slots))*16 }

func (c *cache) get(ref Ref) *Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.frames[ref]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).frame
}

func (c *cache) put(ref Ref, f *Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames[ref] != nil {
		return
	}
	c.frames[ref] = c.order.PushFront(&cached{ref, f})
	c.bytes += cost(f)
	for c.bytes > c.bytesMax && c.order.Len() > 1 {
		c.removeLocked(c.order.Back())
	}
}

func (c *cache) removeLocked(e *list.Element) {
	k := c.order.Remove(e).(*cached)
	delete(c.frames, k.ref)
	c.bytes -= cost(k.frame)
}

// drop forgets the frames of a pack.
func (c *cache) drop(no uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ref, e := range c.frames {
		if ref.Pack == no {
			c.removeLocked(e)
		}
	}
}

// files keeps packs open for reading, at most a number of them beside those in use.
type files struct {
	openFile func(no uint32) (vfs.File, error)
	countMax int

	mu     sync.Mutex
	order  list.List // of *handle, the one used last in front
	byNo   map[uint32]*list.Element
	closed bool
}

// handle is an open pack. Invariant: refs counts its users, and one more while it is in the table.
type handle struct {
	f    vfs.File
	no   uint32
	refs int
	t    *files
}

func newFiles(countMax int, open func(no uint32) (vfs.File, error)) *files {
	return &files{openFile: open, countMax: countMax, byNo: map[uint32]*list.Element{}}
}

func (t *files) get(no uint32) (*handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if e := t.byNo[no]; e != nil {
		t.order.MoveToFront(e)
		h := e.Value.(*handle)
		h.refs++
		return h, nil
	}
	f, err := t.openFile(no)
	if err != nil {
		return nil, err
	}
	h := &handle{f: f, no: no, refs: 2, t: t}
	t.byNo[no] = t.order.PushFront(h)
	for t.order.Len() > t.countMax {
		if err := t.removeLocked(t.order.Back()); err != nil {
			return nil, errors.Join(err, h.releaseLocked())
		}
	}
	return h, nil
}

func (t *files) removeLocked(e *list.Element) error {
	h := t.order.Remove(e).(*handle)
	delete(t.byNo, h.no)
	return h.releaseLocked()
}

func (h *handle) releaseLocked() error {
	if h.refs--; h.refs == 0 {
		return h.f.Close()
	}
	return nil
}

// release ends the use of h. Closing a file that was only read can not lose anything, so its error is dropped.
func (h *handle) release() {
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	_ = h.releaseLocked()
}

func (t *files) drop(no uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byNo[no]; e != nil {
		_ = t.removeLocked(e) // read only
	}
}

func (t *files) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var errs []error
	for t.order.Len() > 0 {
		errs = append(errs, t.removeLocked(t.order.Front()))
	}
	return errors.Join(errs...)
}
