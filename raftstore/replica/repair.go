package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
	"github.com/weirstor/weir/target"
)

// repairTimeout bounds the reading of one range from a peer.
const repairTimeout = time.Minute

// errNoPeer says that there is nobody to repair from.
var errNoPeer = errors.New("no other replica to repair from")

// repair reads the blocks of a suspect from a peer, at a point that shows them, and stores them anew if they have the
// leaves that the index has for them. Every point that shows them reads them there from then on; it is durable on return.
func (k *scrub) repair(x suspect, v *scrubVolume, p *index.Point) error {
	if k.s.opt.Peer == nil {
		return errNoPeer
	}
	rec := p.Find(v.id)
	if rec == nil {
		return fmt.Errorf("%w: %s", ErrNoVolume, v.id)
	}
	off := int64(x.Slot)*index.SlotBytes + int64(x.first)*leaf.BlockSize
	n := min(int64(x.count)*leaf.BlockSize, rec.Size-off)
	ctx, cancel := context.WithTimeout(k.ctx, repairTimeout)
	defer cancel()
	b, err := k.s.opt.Peer.ReadPoint(ctx, p.Point, v.id, off, int(n))
	if err != nil {
		return err
	}
	if int64(len(b)) != n {
		return fmt.Errorf("%w: peer sent %d bytes at %d, asked for %d", target.ErrOutOfRange, len(b), off, n)
	}
	whole := make([]byte, x.count*leaf.BlockSize)
	copy(whole, b)
	return k.restore(x, v.group, whole)
}

// restore stores content for the blocks of a suspect. No point of the group is taken in, forgotten or moved meanwhile.
func (k *scrub) restore(x suspect, id ident.GroupID, content []byte) error {
	g, err := k.s.group(id)
	if err != nil {
		return err
	}
	numbers := newCompactor(k.s)
	if err := numbers.loadVolumes(); err != nil {
		return err
	}
	g.work.Lock()
	defer g.work.Unlock()
	m, err := k.s.index.NewMover()
	if err != nil {
		return err
	}
	err = k.rewrite(x, m, numbers.numbers[id][x.Volume], content)
	return errors.Join(err, m.Close())
}

func (k *scrub) rewrite(x suspect, m *index.Mover, numbers []uint32, content []byte) error {
	slot, err := entryOf(m, x)
	if slot == nil || err != nil {
		return err // nobody refers to it any more
	}
	var blocks []storepack.Block
	var from []index.Loc
	for i := range x.count {
		b := &slot[x.first+i]
		if b.IsZero() {
			continue
		}
		data := content[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
		if got := leaf.Of(data); got != b.Leaf {
			return fmt.Errorf("%w: block %d of slot %d has leaf %016x at the peer, want %016x", ErrMismatch, x.first+i, x.Slot, uint64(got), uint64(b.Leaf))
		}
		blocks = append(blocks, storepack.Block{Index: uint8(x.first + i), Class: b.Class, Leaf: b.Leaf, Data: data})
		from = append(from, b.Loc)
	}
	var build storepack.Builder
	build.Start(x.Volume, x.Number)
	placed := build.Add(x.Slot, blocks)
	refs, batch, err := k.s.store.Append(&build)
	if err != nil {
		return err
	}
	defer batch.Settle()
	if err := batch.Sync(); err != nil {
		return err
	}
	to := map[index.Loc]index.Loc{}
	for i, at := range from {
		to[at] = index.Loc{Ref: refs[placed.Frame], Block: placed.First + uint8(i)}
	}
	for _, volume := range numbers {
		if err := m.Move(volume, x.Slot, to); err != nil {
			return err
		}
	}
	if err := m.Commit(); err != nil {
		return err
	}
	return k.s.index.Sync()
}

// entryOf returns the slot of a suspect as it is in the index now, nil if the entry is gone.
func entryOf(m *index.Mover, x suspect) (*index.Slot, error) {
	entries, err := m.Entries(x.Volume, x.Slot)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if entries[i].Number == x.Number {
			slot := entries[i].Slot
			return &slot, nil
		}
	}
	return nil, nil
}
