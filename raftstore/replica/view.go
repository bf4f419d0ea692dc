package replica

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
	"github.com/weirstor/weir/target"
)

// medium says that n bytes at off can not be read.
func medium(off, n int64, err error) error { return &target.MediumError{Off: off, Len: n, Err: err} }

// blockData returns the content of a block that is not zero, leaf.BlockSize bytes, not to be changed.
func (s *Set) blockData(k *index.Block) ([]byte, error) {
	f, err := s.store.Read(k.Loc.Ref)
	if err != nil {
		return nil, err
	}
	return frameBlock(f, k)
}

// frameBlock returns the content of k out of its frame, after checking that it is the block that was put there.
func frameBlock(f *storepack.Frame, k *index.Block) ([]byte, error) {
	i := int(k.Loc.Block)
	if i >= len(f.Blocks) || f.Blocks[i].Leaf != k.Leaf {
		return nil, fmt.Errorf("%w: pack %d at %d: block %d is not the one with leaf %016x", storepack.ErrDamaged, k.Loc.Pack,
			k.Loc.At, i, uint64(k.Leaf))
	}
	return f.Block(i), nil
}

// view is the content of one volume at one point. Safe for concurrent use.
type view struct {
	s      *Set
	group  ident.GroupID
	volume uint32
	number uint64
	size   int64 // bytes at the point
}

// ReadAt fills p with the content at off; what lies beyond the size of the volume reads as zeroes. Damage is a
// *target.MediumError.
func (w *view) ReadAt(p []byte, off int64) error {
	if off < 0 {
		return fmt.Errorf("%w: offset %d", target.ErrOutOfRange, off)
	}
	if off >= w.size {
		clear(p)
		return nil
	}
	if room := w.size - off; int64(len(p)) > room {
		clear(p[room:])
		p = p[:room]
	}
	for try := 0; ; {
		n, err := w.read(p, off)
		if n > 0 {
			try = 0
		}
		if try++; !errors.Is(err, storepack.ErrNotFound) || try == lookupsMax {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
}

// lookupsMax is how often a block is looked up before a store pack that is not there counts as lost: it may have been
// emptied between lookup and read.
const lookupsMax = 4

// read fills p as the index is now, and returns how much it did before an error.
func (w *view) read(p []byte, off int64) (done int, err error) {
	r, err := w.s.index.NewReader()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var s index.Slot
	for done < len(p) {
		at := int(off % index.SlotBytes)
		n := min(len(p)-done, index.SlotBytes-at)
		number, err := r.Lookup(w.volume, uint64(off/index.SlotBytes), w.number, &s)
		if err != nil {
			return done, err
		}
		part := p[done : done+n]
		if number == 0 {
			clear(part)
		} else if err := w.s.readSlot(&s, part, at, off); err != nil {
			return done, err
		}
		done, off = done+n, off+int64(n)
	}
	return done, nil
}

// readSlot copies the bytes from at on of a slot into p. off is where that is in the volume, for errors.
func (s *Set) readSlot(slot *index.Slot, p []byte, at int, off int64) error {
	var f *storepack.Frame
	var ref storepack.Ref
	for len(p) > 0 {
		k := &slot[at/leaf.BlockSize]
		in := at % leaf.BlockSize
		n := min(len(p), leaf.BlockSize-in)
		if k.IsZero() {
			clear(p[:n])
		} else {
			var err error
			if f == nil || ref != k.Loc.Ref {
				if f, err = s.store.Read(k.Loc.Ref); err != nil {
					return medium(off, int64(n), err)
				}
				ref = k.Loc.Ref
			}
			data, err := frameBlock(f, k)
			if err != nil {
				return medium(off, int64(n), err)
			}
			copy(p[:n], data[in:])
		}
		p, at, off = p[n:], at+n, off+int64(n)
	}
	return nil
}

// leaves sets out[i] to the entry of block first+i.
func (w *view) leaves(first uint64, out []index.Block) error {
	r, err := w.s.index.NewReader()
	if err != nil {
		return err
	}
	var s index.Slot
	for len(out) > 0 && err == nil {
		at := first % index.SlotBlocks
		_, err = r.Lookup(w.volume, first/index.SlotBlocks, w.number, &s)
		n := copy(out, s[at:])
		out, first = out[n:], first+uint64(n)
	}
	return errors.Join(err, r.Close())
}

// extents describes [off, off+n), a range within the volume, by blocks that are zero and blocks that are not.
func (w *view) extents(off, n int64) ([]target.Extent, error) {
	r, err := w.s.index.NewReader()
	if err != nil {
		return nil, err
	}
	b := extentBuilder{off: off, end: off + n}
	var s index.Slot
	slot, ok, err := r.Next(w.volume, uint64(off/index.SlotBytes), w.number, &s)
	for ; ok && err == nil && int64(slot)*index.SlotBytes < b.end; slot, ok, err = r.Next(w.volume, slot+1, w.number, &s) {
		for i := range s {
			if !s[i].IsZero() {
				b.data(int64(slot)*index.SlotBytes+int64(i)*leaf.BlockSize, leaf.BlockSize)
			}
		}
	}
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

// extentBuilder turns ranges of data, in address order, into extents that cover [off, end).
type extentBuilder struct {
	off, end int64 // off is as far as list covers
	list     []target.Extent
}

func (b *extentBuilder) data(off, n int64) {
	end := min(off+n, b.end)
	off = max(off, b.off)
	if off >= end {
		return
	}
	b.put(off, target.Hole)
	b.put(end, target.Data)
}

// put covers everything up to end with kind.
func (b *extentBuilder) put(end int64, kind target.ExtentKind) {
	if end <= b.off {
		return
	}
	if last := len(b.list) - 1; last >= 0 && b.list[last].Kind == kind {
		b.list[last].Len += end - b.off
	} else {
		b.list = append(b.list, target.Extent{Off: b.off, Len: end - b.off, Kind: kind})
	}
	b.off = end
}

func (b *extentBuilder) finish() []target.Extent {
	b.put(b.end, target.Hole)
	return b.list
}
