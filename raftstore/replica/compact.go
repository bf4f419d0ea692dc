package replica

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// A store pack with less than one block in compactShare live is rewritten: what it still holds goes to a new pack, and
// the file goes. So a block is written at most once more for each time that as many blocks beside it have died.
const compactShare = 2

// compactor rewrites store packs that are mostly dead. It works on one group at a time, under the group's lock, so that
// a point being taken in or forgotten never sees a block that moves; readers look up again what has moved.
type compactor struct {
	s    *Set
	wake chan struct{}    // holds one: something died
	left map[uint32]int64 // live blocks of packs that could not be emptied, when that was tried

	volumes map[uint32]volumeOf                   // by number
	numbers map[ident.GroupID]map[uint32][]uint32 // all numbers of the same volume, by each of them
}

type volumeOf struct {
	group ident.GroupID
	id    ident.VolumeID
}

func newCompactor(s *Set) *compactor {
	return &compactor{s: s, wake: make(chan struct{}, 1), left: map[uint32]int64{}}
}

// signal has the compactor look for packs soon. It never blocks.
func (c *compactor) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run works until the set is closed.
func (c *compactor) run() {
	c.s.lowerPriority()
	for {
		select {
		case <-c.s.ctx.Done():
			return
		case <-c.wake:
		}
		if err := c.round(c.s.ctx); err != nil && c.s.ctx.Err() == nil {
			c.s.opt.Logger.Error("replica: compact store packs", "err", err)
		}
	}
}

// round empties every pack that is mostly dead, at the pace of Options.CompactBytesPerSec.
func (c *compactor) round(ctx context.Context) error {
	victims := c.victims()
	if len(victims) == 0 {
		return nil
	}
	if err := c.loadVolumes(); err != nil {
		return err
	}
	var errs []error
	sizes := c.s.store.Packs()
	for _, no := range victims {
		if err := c.empty(ctx, no); err != nil {
			errs = append(errs, err)
		}
		if live := c.s.index.PackUsage(no).Live; live > 0 {
			c.left[no] = live
		}
		errs = append(errs, c.s.sweep())
		if !pause(ctx, sizes[no], c.s.opt.CompactBytesPerSec) {
			break
		}
	}
	return errors.Join(errs...)
}

// pause waits as long as n bytes take at the rate, and reports whether ctx goes on.
func pause(ctx context.Context, n, perSec int64) bool {
	select {
	case <-time.After(time.Duration(float64(n) / float64(perSec) * float64(time.Second))):
		return true
	case <-ctx.Done():
		return false
	}
}

// victims lists the packs to empty, those with the fewest live blocks first.
func (c *compactor) victims() []uint32 {
	usage := c.s.index.Usage()
	var out []uint32
	for no, u := range usage {
		if u.Live <= 0 || u.Live*compactShare > u.Total || !c.s.store.Closed(no) {
			continue
		}
		if live, tried := c.left[no]; !tried || live != u.Live {
			out = append(out, no)
		}
	}
	for no := range c.left {
		if _, there := usage[no]; !there {
			delete(c.left, no)
		}
	}
	slices.SortFunc(out, func(a, b uint32) int { return int(usage[a].Live - usage[b].Live) })
	return out
}

// loadVolumes finds out to which groups volume numbers belong. A volume has several when it reappeared.
func (c *compactor) loadVolumes() error {
	c.volumes = map[uint32]volumeOf{}
	same := map[volumeOf][]uint32{}
	err := c.s.index.Volumes(func(g ident.GroupID, v index.Volume) {
		if _, known := c.volumes[v.Number]; !known {
			of := volumeOf{g, v.ID}
			c.volumes[v.Number] = of
			same[of] = append(same[of], v.Number)
		}
	})
	c.numbers = map[ident.GroupID]map[uint32][]uint32{}
	for of, numbers := range same {
		if c.numbers[of.group] == nil {
			c.numbers[of.group] = map[uint32][]uint32{}
		}
		for _, n := range numbers {
			c.numbers[of.group][n] = numbers
		}
	}
	return err
}

// placedFrame is a frame of the pack being emptied.
type placedFrame struct {
	ref  storepack.Ref
	head storepack.Head
}

// survey reads the heads of a pack's frames. Frames of volumes that no point has are not needed.
func (c *compactor) survey(no uint32) (map[ident.GroupID][]placedFrame, error) {
	frames := map[ident.GroupID][]placedFrame{}
	err := c.s.store.Scan(no, func(ref storepack.Ref, typ uint8, payload []byte) error {
		if typ == storepack.TypePoint {
			return nil
		}
		h, err := storepack.ParseHead(payload)
		if err != nil {
			return err
		}
		if of, ok := c.volumes[h.Volume]; ok {
			frames[of.group] = append(frames[of.group], placedFrame{ref, h})
		}
		return nil
	})
	if errors.Is(err, storepack.ErrNotFound) {
		return nil, nil // its last block has died meanwhile
	}
	if errors.Is(err, storepack.ErrDamaged) {
		// What is behind is unreadable here; if anything refers to it, the pack stays.
		c.s.opt.Logger.Warn("replica: the end of a store pack can not be read", "pack", no, "err", err)
		err = nil
	}
	return frames, err
}

// empty moves what is live in a pack to another one.
func (c *compactor) empty(ctx context.Context, no uint32) error {
	frames, err := c.survey(no)
	if err != nil {
		return err
	}
	for id, list := range frames {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g, err := c.s.group(id)
		if err != nil {
			return err
		}
		if err := c.emptyGroup(g, list); err != nil {
			return fmt.Errorf("store pack %d, group %s: %w", no, id, err)
		}
	}
	return nil
}

func (c *compactor) emptyGroup(g *group, frames []placedFrame) error {
	g.work.Lock()
	defer g.work.Unlock()
	m, err := c.s.index.NewMover()
	if err != nil {
		return err
	}
	e := &emptying{s: c.s, m: m, numbers: c.numbers[g.id]}
	for i := range frames {
		if err = e.frame(&frames[i]); err != nil {
			break
		}
	}
	if err == nil {
		err = e.flush()
	}
	return errors.Join(err, m.Close())
}

// emptying moves the live blocks of one group out of a pack.
type emptying struct {
	s       *Set
	m       *index.Mover
	numbers map[uint32][]uint32
	builder storepack.Builder
	moves   []slotMove

	volume uint32 // of the frame that is being built, its point and last slot
	point  uint64
	slot   uint64
}

// slotMove is a slot of a frame whose live blocks wait for their new place.
type slotMove struct {
	volume uint32
	slot   uint64
	from   storepack.Ref
	blocks []uint8 // in the old frame
	placed storepack.Placed
}

// needed is what of a slot in a frame some point still needs.
type needed struct {
	data uint16 // blocks whose content is in the frame
	zero uint16 // blocks that the frame says became zero
}

// frame adds what is live of a frame to the builder.
func (e *emptying) frame(f *placedFrame) error {
	need := make([]needed, len(f.head.Slots))
	live := false
	first := uint8(0)
	for i, c := range f.head.Slots {
		var err error
		if need[i], err = e.needed(f, c, first); err != nil {
			return err
		}
		live = live || need[i].data != 0
		first += uint8(c.DataBlocks())
	}
	var content *storepack.Frame
	if live {
		var err error
		if content, err = e.s.store.Read(f.ref); err != nil {
			return err
		}
	}
	if e.volume != f.head.Volume || e.point != f.head.Point || f.head.Slots[0].Slot <= e.slot {
		e.volume, e.point = f.head.Volume, f.head.Point
		e.builder.Start(e.volume, e.point)
	}
	first = 0
	for i, c := range f.head.Slots {
		e.add(f, c, first, need[i], content)
		first += uint8(c.DataBlocks())
	}
	if e.builder.Len() >= batchBytes || len(e.moves) >= batchSlots {
		return e.flush()
	}
	return nil
}

// needed looks through the histories of the slot under all numbers of its volume.
func (e *emptying) needed(f *placedFrame, c storepack.SlotChange, first uint8) (needed, error) {
	var n needed
	for _, volume := range e.numbers[f.head.Volume] {
		entries, err := e.m.Entries(volume, c.Slot)
		if err != nil {
			return n, err
		}
		for k := range entries {
			block := first
			for m := c.Data; m != 0; m &= m - 1 {
				i := bits.TrailingZeros16(m)
				if at := entries[k].Slot[i].Loc; at.Ref == f.ref && at.Block == block {
					n.data |= 1 << i
				}
				block++
			}
		}
		if volume == f.head.Volume {
			n.zero = c.Zero &^ shown(entries, f.head.Point)
		}
	}
	return n, nil
}

// shown returns the blocks that are not zero at the oldest point from number on; all of them if there is none.
func shown(entries []index.Entry, number uint64) uint16 {
	mask := ^uint16(0)
	for k := range entries {
		if entries[k].Number < number {
			break
		}
		mask = entries[k].Slot.Mask()
	}
	return mask
}

// add puts what is needed of a slot into the builder.
func (e *emptying) add(f *placedFrame, c storepack.SlotChange, first uint8, n needed, content *storepack.Frame) {
	if n.data|n.zero == 0 {
		return
	}
	move := slotMove{volume: f.head.Volume, slot: c.Slot, from: f.ref}
	var blocks []storepack.Block
	at := first
	for i := range uint8(index.SlotBlocks) {
		bit := uint16(1) << i
		switch {
		case n.data&bit != 0:
			h := f.head.Blocks[at]
			blocks = append(blocks, storepack.Block{Index: i, Class: h.Class, Leaf: h.Leaf, Data: content.Block(int(at))})
			move.blocks = append(move.blocks, at)
		case n.zero&bit != 0:
			blocks = append(blocks, storepack.Block{Index: i})
		}
		if c.Data&bit != 0 {
			at++
		}
	}
	move.placed = e.builder.Add(c.Slot, blocks)
	e.slot = c.Slot
	e.moves = append(e.moves, move)
}

// flush makes what was built durable and has the index say so.
func (e *emptying) flush() error {
	if e.builder.Empty() {
		return nil
	}
	refs, batch, err := e.s.store.Append(&e.builder)
	if err != nil {
		return err
	}
	defer batch.Settle()
	if err := batch.Sync(); err != nil {
		return err
	}
	to := map[index.Loc]index.Loc{}
	type place struct {
		volume uint32
		slot   uint64
	}
	slots := map[place]bool{}
	for _, mv := range e.moves {
		for i, b := range mv.blocks {
			to[index.Loc{Ref: mv.from, Block: b}] = index.Loc{Ref: refs[mv.placed.Frame], Block: mv.placed.First + uint8(i)}
		}
		if len(mv.blocks) > 0 {
			for _, volume := range e.numbers[mv.volume] {
				slots[place{volume, mv.slot}] = true
			}
		}
	}
	for p := range slots {
		if err := e.m.Move(p.volume, p.slot, to); err != nil {
			return err
		}
	}
	e.moves = e.moves[:0]
	for _, r := range refs {
		e.s.rewritten.Add(int64(r.Len))
	}
	return e.m.Commit()
}
