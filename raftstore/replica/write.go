package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// placement is a slot that waits for its frame's place.
type placement struct {
	volume uint32
	slot   uint64
	older  index.Slot // at the point before
	own    *index.Slot
	now    index.Slot // to be written, its changed blocks without location
	fresh  uint16     // the changed blocks that have content
	placed storepack.Placed
}

// Frames are appended to store packs in batches of about this many bytes, or for this many slots.
const (
	batchBytes = 1 << 20
	batchSlots = 2048
)

// write moves all blocks of the landing to store packs and their entries to the intake.
func (l *landing) write() error {
	for _, v := range l.order {
		if err := l.writeVolume(v); err != nil {
			return err
		}
	}
	return l.place()
}

func (l *landing) writeVolume(v *landVolume) error {
	if len(v.blocks) == 0 {
		return nil
	}
	order := make([]uint64, 0, len(v.blocks))
	for i := range v.blocks {
		order = append(order, i)
	}
	slices.Sort(order)
	l.builder.Start(v.number, l.e.Number)
	for len(order) > 0 {
		slot, n := order[0]/index.SlotBlocks, 1
		for n < len(order) && order[n]/index.SlotBlocks == slot {
			n++
		}
		if err := l.writeSlot(v, slot, order[:n]); err != nil {
			return err
		}
		order = order[n:]
		if l.builder.Len() >= batchBytes || len(l.waiting) >= batchSlots {
			if err := l.place(); err != nil {
				return err
			}
			l.builder.Start(v.number, l.e.Number)
		}
	}
	clear(v.blocks)
	return nil
}

// writeSlot adds the blocks of one slot that really differ to the builder.
func (l *landing) writeSlot(v *landVolume, slot uint64, order []uint64) error {
	w := placement{volume: v.number, slot: slot}
	at, err := l.reader.Lookup(v.number, slot, l.e.Number, &w.now)
	if err != nil {
		return err
	}
	w.older = w.now
	if at == l.e.Number {
		own := w.now
		w.own = &own
		if _, err := l.reader.Lookup(v.number, slot, l.e.Number-1, &w.older); err != nil {
			return err
		}
	}
	var changed [index.SlotBlocks]storepack.Block
	n := 0
	for _, i := range order {
		k, differs, err := l.change(v, i, v.blocks[i], &w.now[i%index.SlotBlocks])
		if err != nil {
			return err
		}
		if differs {
			changed[n] = k
			n++
		}
	}
	if n > 0 {
		w.placed = l.builder.Add(slot, changed[:n])
		for _, k := range changed[:n] {
			w.now[k.Index] = index.Block{Leaf: k.Leaf, Class: k.Class}
			if k.Data != nil {
				w.fresh |= 1 << k.Index
			}
		}
		l.waiting = append(l.waiting, w)
	}
	for _, i := range order {
		l.release(v.blocks[i])
	}
	return nil
}

func (l *landing) release(b *landBlock) {
	l.bytes -= blockCost
	if b.data != nil {
		blocks.Put(b.data)
		b.data = nil
		l.bytes -= leaf.BlockSize
	}
}

// change compares block i with what the index has, and counts a difference in the volume's state hash.
func (l *landing) change(v *landVolume, i uint64, b *landBlock, now *index.Block) (storepack.Block, bool, error) {
	k := storepack.Block{Index: uint8(i % index.SlotBlocks), Class: b.class}
	if b.data != nil {
		data := b.data[:min(leaf.BlockSize, v.size-int64(i)*leaf.BlockSize)]
		if k.Leaf = leaf.Of(data); k.Leaf != 0 {
			k.Data = data
		}
	}
	if k.Leaf == now.Leaf {
		if k.Leaf == 0 {
			return k, false, nil
		}
		same, err := l.sameContent(now, k.Data)
		if err != nil {
			return k, false, medium(int64(i)*leaf.BlockSize, leaf.BlockSize, err)
		}
		if same {
			return k, false, nil
		}
	}
	v.state = v.state.Replace(v.id, i, now.Leaf, k.Leaf)
	if k.Data == nil {
		k.Class = 0
	}
	return k, true, nil
}

// place appends the frames that were built and puts the entries that waited for their places.
func (l *landing) place() error {
	if l.builder.Empty() {
		return nil
	}
	refs, batch, err := l.s.store.Append(&l.builder)
	if err != nil {
		return err
	}
	l.batches = append(l.batches, batch)
	for _, r := range refs {
		l.s.written.Add(int64(r.Len))
	}
	for i := range l.waiting {
		w := &l.waiting[i]
		next := w.placed.First
		for j := range w.now {
			if w.fresh&(1<<j) != 0 {
				w.now[j].Loc = index.Loc{Ref: refs[w.placed.Frame], Block: next}
				next++
			}
		}
		if err := l.intake.PutSlot(w.volume, w.slot, &w.older, w.own, &w.now); err != nil {
			return err
		}
	}
	l.waiting = l.waiting[:0]
	return nil
}

// verify compares the state hash of every volume with the commit's.
func (l *landing) verify() error {
	var errs []error
	for _, v := range l.order {
		if v.state != v.want {
			errs = append(errs, &MismatchError{Point: l.point, Volume: v.id, Got: v.state, Want: v.want,
				Ranges: v.touched.extents()})
		}
	}
	return errors.Join(errs...)
}

// commit makes the point durable and offers it. It ends the turn t before it waits.
func (l *landing) commit(t *turn) (*held, error) {
	p := &index.Point{Point: l.point, Number: l.e.Number, Commit: l.e.Commit.Encode()}
	if l.base != nil {
		p.Base = l.base.Number
	}
	for i := range l.e.Commit.Volumes {
		v := l.volumes[l.e.Commit.Volumes[i].Volume]
		p.Volumes = append(p.Volumes, index.Volume{ID: v.id, Number: v.number, Size: v.size})
	}
	l.builder.Record(index.EncodePoint(p))
	_, batch, err := l.s.store.Append(&l.builder)
	if err == nil {
		l.batches = append(l.batches, batch)
		t.leave()
		err = storepack.SyncAll(l.batches)
	}
	if err != nil {
		return nil, errors.Join(err, l.abort())
	}
	err = l.intake.Commit(p)
	l.settle()
	if err = errors.Join(err, l.reader.Close()); err != nil {
		return nil, fmt.Errorf("point %v: %w", l.point, err)
	}
	return &held{Point: p, commit: l.e.Commit}, nil
}
