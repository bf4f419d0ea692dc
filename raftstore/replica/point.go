package replica

import (
	"fmt"
	"sync/atomic"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/target"
)

// Point reads a recovery point. It needs no closing. A point that is forgotten while it is in use answers
// ErrNotIngested from then on, never wrong content. Safe for concurrent use.
type Point struct {
	g *group
	h *held

	forgets atomic.Uint64 // value of g.forgets at which the point was last seen in the index
}

// Point returns a reader of p, or ErrNotIngested.
func (s *Set) Point(p ident.Point) (*Point, error) {
	g, err := s.group(p.Group)
	if err != nil {
		return nil, err
	}
	forgets := g.forgets.Load()
	g.mu.Lock()
	newest := g.newest
	g.mu.Unlock()
	if newest == nil || newest.Point.Point != p {
		rec, err := s.index.Lookup(p)
		if err != nil {
			return nil, mapped(err)
		}
		if newest, err = newHeld(rec); err != nil {
			return nil, err
		}
	}
	q := &Point{g: g, h: newest}
	q.forgets.Store(forgets)
	return q, q.check()
}

// check returns ErrNotIngested if the point was forgotten before what was read of it could be trusted. A point is
// hidden first, then counted in g.forgets, then its entries are removed; so whoever has read a removed entry finds the
// count changed and the point hidden.
func (p *Point) check() error {
	now := p.g.forgets.Load()
	if now == p.forgets.Load() {
		return nil
	}
	if _, err := p.g.s.index.Point(p.h.Group, p.h.Number); err != nil {
		return mapped(err)
	}
	p.forgets.Store(now)
	return nil
}

// Identity returns the point's identity.
func (p *Point) Identity() ident.Point { return p.h.Point.Point }

// Number returns the point's number in its group.
func (p *Point) Number() uint64 { return p.h.Number }

// Commit returns the commit that made the point. It must not be changed.
func (p *Point) Commit() *replicate.Commit { return p.h.commit }

// Volumes returns every volume of the point with its size and state hash. It must not be changed.
func (p *Point) Volumes() []replicate.VolumeState { return p.h.commit.Volumes }

func (p *Point) view(v ident.VolumeID) (*view, error) {
	rec := p.h.Find(v)
	if rec == nil {
		return nil, fmt.Errorf("%w: %s, point %v", ErrNoVolume, v, p.h.Point.Point)
	}
	return &view{s: p.g.s, group: p.h.Group, volume: rec.Number, number: p.h.Number, size: rec.Size}, nil
}

// in is view after checking that a range lies within the volume.
func (p *Point) in(v ident.VolumeID, off, n int64) (*view, error) {
	w, err := p.view(v)
	if err != nil {
		return nil, err
	}
	return w, target.CheckRange(off, n, w.size)
}

// ReadAt fills b with the volume's content at off. Damage is a *target.MediumError.
func (p *Point) ReadAt(v ident.VolumeID, b []byte, off int64) error {
	w, err := p.in(v, off, int64(len(b)))
	if err != nil {
		return err
	}
	if err := w.ReadAt(b, off); err != nil {
		return fmt.Errorf("read point %v: %w", p.h.Point.Point, err)
	}
	return p.check()
}

// Leaves returns the leaves of count blocks of the volume from block first on.
func (p *Point) Leaves(v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error) {
	b, err := p.blocks(v, first, count)
	if err != nil {
		return nil, err
	}
	out := make([]leaf.Leaf, count)
	for i := range b {
		out[i] = b[i].Leaf
	}
	return out, nil
}

func (p *Point) blocks(v ident.VolumeID, first uint64, count int) ([]index.Block, error) {
	w, err := p.view(v)
	if err != nil {
		return nil, err
	}
	if total := blockCount(w.size); count < 0 || first > total || uint64(count) > total-first {
		return nil, fmt.Errorf("%w: blocks %d+%d of %d", target.ErrOutOfRange, first, count, total)
	}
	out := make([]index.Block, count)
	if err := w.leaves(first, out); err != nil {
		return nil, fmt.Errorf("leaves of point %v: %w", p.h.Point.Point, err)
	}
	return out, p.check()
}

// blockCount is the number of blocks of a volume of size bytes, a short last one included.
func blockCount(size int64) uint64 { return uint64((size + leaf.BlockSize - 1) / leaf.BlockSize) }

// Extents describes [off, off+n) of the volume as data and holes, in address order, covering the range exactly.
func (p *Point) Extents(v ident.VolumeID, off, n int64) ([]target.Extent, error) {
	w, err := p.in(v, off, n)
	if err != nil {
		return nil, err
	}
	list, err := w.extents(off, n)
	if err != nil {
		return nil, fmt.Errorf("extents of point %v: %w", p.h.Point.Point, err)
	}
	return list, p.check()
}

// Device returns the volume as a read-only device.
func (p *Point) Device(v ident.VolumeID) (target.Device, error) {
	c := p.h.state(v)
	if c == nil {
		return nil, fmt.Errorf("%w: %s, point %v", ErrNoVolume, v, p.h.Point.Point)
	}
	if c.Partial {
		return nil, fmt.Errorf("%w: %s, point %v: its first sync was not complete", ErrNoVolume, v, p.h.Point.Point)
	}
	return &device{p: p, volume: v, size: c.Size, blockSize: c.BlockSize}, nil
}
