package clone

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
)

// BlockBytes is the unit in which an overlay holds content; the last block of a volume may be shorter.
const BlockBytes = 4096

const sizeMax = 1 << 60

func blockCount(size int64) uint64 { return uint64((size + BlockBytes - 1) / BlockBytes) }

// Base is the content of a volume at a point. It never changes. Safe for concurrent use.
type Base interface {
	// ReadAt fills p with the content at off, or fails.
	ReadAt(p []byte, off int64) error
	// Extents describes [off, off+n) in address order, exactly.
	Extents(off, n int64) ([]target.Extent, error)
}

// overlay is a volume over a base. Safe for concurrent use.
//
// Each block is absent (read from the base), open (in the data file, with a record that no commit covers) or settled (in
// the data file, covered by a commit). A block never becomes absent again.
type overlay struct {
	base Base
	size int64
	data vfs.File
	maps *mapFile

	life sync.RWMutex // read-held by every call, held by close
	gate sync.RWMutex // read-held while a change is under way, held while a flush draws the line
	rows rows         // per region: one change at a time

	mu       sync.RWMutex
	present  *roaring64.Bitmap // open or settled
	open     *roaring64.Bitmap // written since the last flush drew its line
	flushing *roaring64.Bitmap // open before that line, not settled yet

	flushMu  sync.Mutex
	arrivals atomic.Uint64 // flushes asked for
	flushed  uint64        // arrivals that the last flush served; guarded by flushMu
	failed   atomic.Pointer[error]
	closed   bool // guarded by life
}

func newOverlay(base Base, size int64, data vfs.File, maps *mapFile, present *roaring64.Bitmap) *overlay {
	return &overlay{base: base, size: size, data: data, maps: maps, present: present,
		open: roaring64.New(), flushing: roaring64.New()}
}

// class is the state of a block.
type class int

const (
	absent class = iota
	open
	settled
)

// classify returns the state of block first and how many blocks from it on, up to last, have it too.
func (o *overlay) classify(first, last uint64) (class, uint64) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	c, n := o.classLocked(first), uint64(1)
	if c == absent {
		it := o.present.Iterator()
		it.AdvanceIfNeeded(first)
		if !it.HasNext() {
			return c, last - first + 1
		}
		return c, min(it.PeekNext(), last+1) - first
	}
	for first+n <= last && o.classLocked(first+n) == c {
		n++
	}
	return c, n
}

func (o *overlay) classLocked(b uint64) class {
	switch {
	case !o.present.Contains(b):
		return absent
	case o.open.Contains(b) || o.flushing.Contains(b):
		return open
	}
	return settled
}

// add makes absent blocks open.
func (o *overlay) add(first, count uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.present.AddRange(first, first+count)
	o.open.AddRange(first, first+count)
}

// read fills p with the content at off.
func (o *overlay) read(p []byte, off int64) error {
	for len(p) > 0 {
		first := uint64(off / BlockBytes)
		c, n := o.classify(first, uint64(off+int64(len(p))-1)/BlockBytes)
		part := p[:min(int64(len(p)), int64(first+n)*BlockBytes-off)]
		var err error
		if c == absent {
			err = o.base.ReadAt(part, off)
		} else {
			_, err = o.data.ReadAt(part, off)
		}
		if err != nil {
			return ioError("read", off, len(part), err)
		}
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

// ioError gives an error the meaning that a door knows.
func ioError(what string, off int64, n int, err error) error {
	switch {
	case vfs.IsNoSpace(err):
		return fmt.Errorf("%w: %s %d+%d: %w", target.ErrNoSpace, what, off, n, err)
	case errors.As(err, new(*target.MediumError)), errors.Is(err, target.ErrIO):
		return fmt.Errorf("%s %d+%d: %w", what, off, n, err)
	}
	return fmt.Errorf("%w: %s %d+%d: %w", target.ErrIO, what, off, n, err)
}

// fail latches the first error after which what is durable is not known any more.
func (o *overlay) fail(err error) error {
	o.failed.CompareAndSwap(nil, &err)
	return o.latched()
}

// latched returns the error that ended all changes, nil while there is none.
func (o *overlay) latched() error {
	if p := o.failed.Load(); p != nil {
		return fmt.Errorf("%w: the clone takes no writes since: %w", target.ErrIO, *p)
	}
	return nil
}

// presentBytes is how much of the volume the overlay holds.
func (o *overlay) presentBytes() int64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return min(int64(o.present.GetCardinality())*BlockBytes, o.size)
}

// complete reports whether every block is settled.
func (o *overlay) complete() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.present.GetCardinality() == blockCount(o.size) && o.open.IsEmpty() && o.flushing.IsEmpty()
}

// flush returns when everything acknowledged before the call is on stable storage. Flushes that wait for one another
// share the next.
func (o *overlay) flush() error {
	ticket := o.arrivals.Add(1)
	o.flushMu.Lock()
	defer o.flushMu.Unlock()
	if o.flushed >= ticket {
		return o.latched()
	}
	upTo := o.arrivals.Load()
	if err := o.settle(); err != nil {
		return err
	}
	o.flushed = upTo
	return nil
}

// settle makes everything durable that was acknowledged before, and settles it. The caller holds flushMu.
func (o *overlay) settle() error {
	if err := o.latched(); err != nil {
		return err
	}
	line := o.drawLine()
	if err := o.data.Datasync(); err != nil {
		return o.fail(err)
	}
	if err := o.maps.commit(line); err != nil {
		o.mu.Lock()
		o.open.Or(o.flushing)
		o.flushing = roaring64.New()
		o.mu.Unlock()
		if vfs.IsNoSpace(err) {
			return fmt.Errorf("%w: flush: %w", target.ErrNoSpace, err)
		}
		return o.fail(err)
	}
	o.mu.Lock()
	o.flushing = roaring64.New()
	o.mu.Unlock()
	if o.maps.long() {
		return o.rewrite()
	}
	return nil
}

// drawLine returns the end of the map's records, of which every change is complete.
func (o *overlay) drawLine() int64 {
	o.gate.Lock()
	defer o.gate.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open, o.flushing = o.flushing, o.open
	return o.maps.end()
}

// rewrite replaces the map by a short one while nothing changes.
func (o *overlay) rewrite() error {
	o.gate.Lock()
	defer o.gate.Unlock()
	if err := o.data.Datasync(); err != nil {
		return o.fail(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.maps.rewrite(o.present); err != nil {
		if vfs.IsNoSpace(err) {
			return nil // the long one is as good; the next flush tries again
		}
		return o.fail(err)
	}
	o.open, o.flushing = roaring64.New(), roaring64.New()
	return nil
}
