package replica

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/target"
)

// blocks are the buffers of changed blocks, leaf.BlockSize bytes each.
var blocks = sync.Pool{New: func() any { return new([leaf.BlockSize]byte) }}

// landing is where the chunks of one point come together as whole blocks. When it has grown to LandingBytes, its
// blocks are written to the store and to the index under the new point, where nobody sees them before commit, and it
// goes on empty. Not safe for concurrent use.
type landing struct {
	s      *Set
	e      Entry
	point  ident.Point
	base   *held // nil: the empty group
	intake *index.Intake
	reader *index.Reader

	volumes map[ident.VolumeID]*landVolume
	order   []*landVolume // by number
	bytes   int64         // of changed blocks in memory
	flushed bool          // entries were written that lookups at the new point find

	builder storepack.Builder
	waiting []placement
	batches []storepack.Batch
}

// landVolume is one volume of the point.
type landVolume struct {
	id      ident.VolumeID
	number  uint32
	size    int64
	oldSize int64      // at base; 0 if base lacks it
	state   leaf.State // of what was written so far
	want    leaf.State
	blocks  map[uint64]*landBlock
	touched ranges // what the point changes, for errors
	old     *view  // content at base; nil if base lacks it
}

// landBlock is one block as the new point has it.
type landBlock struct {
	data  *[leaf.BlockSize]byte // nil: zero
	class classify.Class
}

// newLanding begins the intake of a point on top of base; newest is the group's newest point.
func (s *Set) newLanding(e Entry, p ident.Point, base, newest *held) (*landing, error) {
	l := &landing{s: s, e: e, point: p, base: base, volumes: map[ident.VolumeID]*landVolume{}}
	var err error
	if l.intake, err = s.index.Begin(p.Group, e.Number); err != nil {
		return nil, err
	}
	if err = l.addVolumes(newest); err == nil {
		err = l.branch(newest)
	}
	if err == nil && l.reader == nil {
		l.reader, err = s.index.NewReader()
	}
	if err == nil {
		err = l.growTails()
	}
	if err != nil {
		return nil, errors.Join(err, l.abort())
	}
	return l, nil
}

// addVolumes sets up the volumes of the commit. A volume that base has goes on; another one begins empty. The number
// of a volume that base has and the newest point lacks is not used again, since its history ends there.
func (l *landing) addVolumes(newest *held) error {
	for i := range l.e.Commit.Volumes {
		c := &l.e.Commit.Volumes[i]
		v := &landVolume{id: c.Volume, size: c.Size, want: c.State, blocks: map[uint64]*landBlock{}}
		if l.base != nil {
			if old := l.base.Find(c.Volume); old != nil {
				v.number, v.oldSize, v.state = old.Number, old.Size, l.base.state(c.Volume).State
				v.old = &view{s: l.s, group: l.point.Group, volume: old.Number, number: l.base.Number, size: old.Size}
			}
		}
		if v.size < v.oldSize {
			return fmt.Errorf("%w: point %v: volume %s has shrunk from %d to %d bytes", ErrMismatch, l.point, v.id,
				v.oldSize, v.size)
		}
		if v.old == nil || newest.Find(v.id) == nil || newest.Find(v.id).Number != v.number {
			n, err := l.s.index.NewVolume()
			if err != nil {
				return err
			}
			v.number = n
		}
		l.volumes[v.id] = v
		l.order = append(l.order, v)
	}
	slices.SortFunc(l.order, func(a, b *landVolume) int { return int(a.number) - int(b.number) })
	return nil
}

// growTails makes the short last block of a volume that has grown a changed one: its leaf covers more bytes now.
func (l *landing) growTails() error {
	for _, v := range l.order {
		if v.size == v.oldSize || v.oldSize%leaf.BlockSize == 0 {
			continue
		}
		b, err := l.block(v, uint64(v.oldSize/leaf.BlockSize), false)
		if err != nil {
			return err
		}
		b.class = classify.SmallData
	}
	return nil
}

// old is codec.Target.Old.
func (l *landing) old(id ident.VolumeID) codec.View {
	if v := l.volumes[id]; v != nil && v.old != nil {
		return v.old
	}
	if l.base != nil {
		if old := l.base.Find(id); old != nil { // a deleted volume may still be copied from
			return &view{s: l.s, group: l.point.Group, volume: old.Number, number: l.base.Number, size: old.Size}
		}
	}
	return nil
}

// size is codec.Target.Size.
func (l *landing) size(id ident.VolumeID) int64 {
	if v := l.volumes[id]; v != nil {
		return v.size
	}
	return 0
}

// emit is codec.Target.Emit.
func (l *landing) emit(c codec.Chunk) error {
	v := l.volumes[c.Volume]
	if v == nil {
		return fmt.Errorf("%w: point %v has a chunk of volume %s, which it does not list", ErrMismatch, l.point, c.Volume)
	}
	if err := target.CheckRange(c.Off, c.Len, v.size); err != nil {
		return fmt.Errorf("point %v: chunk of volume %s: %w", l.point, c.Volume, err)
	}
	if c.Unchanged {
		return nil
	}
	v.touched.add(c.Off, c.Len)
	if c.Zero {
		return l.zero(v, c)
	}
	if int64(len(c.Data)) != c.Len {
		return fmt.Errorf("point %v: chunk of %d bytes has %d bytes of data", l.point, c.Len, len(c.Data))
	}
	for off, data := c.Off, c.Data; len(data) > 0; {
		at := int(off % leaf.BlockSize)
		n := min(len(data), leaf.BlockSize-at)
		b, err := l.block(v, uint64(off/leaf.BlockSize), at == 0 && (n == leaf.BlockSize || off+int64(n) == v.size))
		if err != nil {
			return err
		}
		l.fill(b)
		copy(b.data[at:], data[:n])
		b.class = max(b.class, c.Class)
		off, data = off+int64(n), data[n:]
	}
	return l.relieve()
}

// relieve writes the landing out when it holds enough.
func (l *landing) relieve() error {
	if l.bytes < l.s.opt.LandingBytes {
		return nil
	}
	if err := l.write(); err != nil {
		return err
	}
	return l.flush()
}

// fill gives a block of zeroes a buffer.
func (l *landing) fill(b *landBlock) {
	if b.data == nil {
		b.data = blocks.Get().(*[leaf.BlockSize]byte)
		clear(b.data[:])
		l.bytes += leaf.BlockSize
	}
}

// block returns a block of the landing, as it is so far; with fresh, what it held does not matter.
func (l *landing) block(v *landVolume, i uint64, fresh bool) (*landBlock, error) {
	b := v.blocks[i]
	if b != nil {
		return b, nil
	}
	b = &landBlock{}
	if !fresh {
		var s index.Slot
		if _, err := l.reader.Lookup(v.number, i/index.SlotBlocks, l.e.Number, &s); err != nil {
			return nil, err
		}
		if k := &s[i%index.SlotBlocks]; !k.IsZero() {
			data, err := l.s.blockData(k)
			if err != nil {
				return nil, medium(int64(i)*leaf.BlockSize, leaf.BlockSize, err)
			}
			l.fill(b)
			copy(b.data[:], data)
		}
	}
	v.blocks[i] = b
	l.bytes += blockCost
	return b, nil
}

// blockCost is what a block of the landing takes beside its content.
const blockCost = 96

// zero makes a range zero. Blocks that are zero already are not touched, so a discard of a large empty range is cheap.
func (l *landing) zero(v *landVolume, c codec.Chunk) error {
	end := c.Off + c.Len
	first := (c.Off + leaf.BlockSize - 1) / leaf.BlockSize // first whole block
	last := end / leaf.BlockSize                           // behind the last whole one
	if end == v.size {
		last = (end + leaf.BlockSize - 1) / leaf.BlockSize
	}
	if last <= first {
		return l.zeroPart(v, c.Off, end, c.Class)
	}
	if err := l.zeroPart(v, c.Off, first*leaf.BlockSize, c.Class); err != nil {
		return err
	}
	if err := l.zeroPart(v, min(last*leaf.BlockSize, end), end, c.Class); err != nil {
		return err
	}
	return l.zeroBlocks(v, uint64(first), uint64(last))
}

// zeroPart makes bytes from off to end, all in one block or in the two parts around a block boundary, zero.
func (l *landing) zeroPart(v *landVolume, off, end int64, class classify.Class) error {
	for off < end {
		at := off % leaf.BlockSize
		n := min(end-off, leaf.BlockSize-at)
		b, err := l.block(v, uint64(off/leaf.BlockSize), false)
		if err != nil {
			return err
		}
		if b.data != nil {
			clear(b.data[at : at+n])
			b.class = max(b.class, class)
		}
		off += n
	}
	return nil
}

// zeroBlocks makes whole blocks zero: those in the landing, and those that the index has content for.
func (l *landing) zeroBlocks(v *landVolume, first, last uint64) error {
	if uint64(len(v.blocks)) < last-first {
		for i, b := range v.blocks {
			if i >= first && i < last {
				l.clear(b)
			}
		}
	} else {
		for i := first; i < last; i++ {
			l.clear(v.blocks[i])
		}
	}
	var s index.Slot
	slot, ok, err := l.reader.Next(v.number, first/index.SlotBlocks, l.e.Number, &s)
	for ; ok && err == nil && slot*index.SlotBlocks < last; slot, ok, err = l.reader.Next(v.number, slot+1, l.e.Number, &s) {
		for j := range s {
			i := slot*index.SlotBlocks + uint64(j)
			if i >= first && i < last && !s[j].IsZero() && v.blocks[i] == nil {
				v.blocks[i] = &landBlock{}
				l.bytes += blockCost
			}
		}
	}
	if err != nil {
		return err
	}
	return l.relieve()
}

// clear makes a block of the landing, or nil, zero.
func (l *landing) clear(b *landBlock) {
	if b != nil && b.data != nil {
		blocks.Put(b.data)
		*b = landBlock{}
		l.bytes -= leaf.BlockSize
	}
}

// flush commits what was written so far to the index and takes a Reader that sees it.
func (l *landing) flush() error {
	if err := l.intake.Flush(); err != nil {
		return err
	}
	l.flushed = true
	if err := l.reader.Close(); err != nil {
		return err
	}
	var err error
	l.reader, err = l.s.index.NewReader()
	return err
}

// abort removes what was written of the point.
func (l *landing) abort() error {
	l.settle()
	err := l.intake.Abort()
	if l.reader != nil {
		err = errors.Join(err, l.reader.Close())
	}
	if err != nil {
		return fmt.Errorf("undo the intake of point %v: %w", l.point, err)
	}
	return nil
}

// settle ends the use of what was appended to store packs.
func (l *landing) settle() {
	for _, b := range l.batches {
		b.Settle()
	}
	l.batches = nil
	for _, v := range l.order {
		for b := range maps.Values(v.blocks) {
			if b.data != nil {
				blocks.Put(b.data)
			}
		}
		v.blocks = nil
	}
}

// sameContent reports whether the block that the index has holds data.
func (l *landing) sameContent(k *index.Block, data []byte) (bool, error) {
	old, err := l.s.blockData(k)
	if err != nil {
		return false, err
	}
	return bytes.Equal(old[:len(data)], data), nil
}
