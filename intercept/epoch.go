package intercept

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// Epoch is a sealed interval of the log on its way to the provider. It pins what its views need until Release.
type Epoch struct {
	group    *Group
	first    ident.Seq
	end      ident.Seq
	name     string
	sealedAt time.Time
	layer    *layer // what of it the base did not hold when it was taken; nil: nothing
	before   *table // the volume table at the last committed point
	after    *table // and at the end
	old, new *pinned
	vols     []EpochVolume
	pieces   map[uint32]*piece // of volumes that the provider does not have in full, by number
	taken    time.Time
}

// EpochVolume is one volume as it is at the end of an epoch, changed or not. Volumes that were deleted are absent.
type EpochVolume struct {
	ID        ident.VolumeID
	Name      string
	Size      int64 // bytes
	BlockSize int   // bytes
	Created   bool  // it did not exist at the last committed point
	Partial   bool  // at the end of the epoch the provider does not have all of it: what is missing reads as zeroes
	Extents   []Extent
	Old       View  // at the last committed point
	New       View  // at the end of the epoch
	HostBytes int64 // that the host wrote in the epoch
}

// Extent is a range that an epoch wrote, with the in-path tag of what was written last in it. Extents are sorted by
// Off, do not overlap, and neighbours differ in Zero or Tag.
type Extent struct {
	Off, Len int64 // bytes; Len > 0
	Zero     bool  // the range reads as zeroes
	Tag      classify.Tag
}

// First is the first sequence of the epoch, End the last.
func (e *Epoch) First() ident.Seq { return e.first }
func (e *Epoch) End() ident.Seq   { return e.end }

// Name is that of the named point that the epoch ends with; "" if it has none.
func (e *Epoch) Name() string { return e.name }

// SealedAt is the gateway's time at its end.
func (e *Epoch) SealedAt() time.Time { return e.sealedAt }

// Volumes returns the volumes at the end of the epoch, in the order of their creation. The slice and what it refers to
// must not be changed.
func (e *Epoch) Volumes() []EpochVolume { return e.vols }

// Release gives up the views; reads through them fail afterwards. An epoch must be released after Committed before it
// can be destaged; Return releases it.
func (e *Epoch) Release() {
	e.old.release()
	e.new.release()
	e.group.pruneShadows()
}

// Next blocks until an epoch is sealed that is not committed, and returns the oldest; further ones that wait behind it
// are merged into it, but never across a named point. Its end is on stable storage. One epoch is out at a time: until
// Committed or Return, Next fails with ErrOutstanding. ErrUnresolved while Ledger().Sent waits for ResolveSent;
// otherwise the error of ctx or of the group. Of what was destaged before it was committed, because the log ran full or
// replication was off, whole blocks are named, with a tag that says nothing.
func (g *Group) Next(ctx context.Context) (*Epoch, error) {
	if err := g.beginTaking(); err != nil {
		return nil, err
	}
	e, err := g.take(ctx)
	g.handed.Lock()
	defer g.handed.Unlock()
	g.handed.taking, g.handed.epoch = false, e
	return e, err
}

// beginTaking makes the caller the only one who takes an epoch.
func (g *Group) beginTaking() error {
	ledger := g.Ledger()
	g.handed.Lock()
	defer g.handed.Unlock()
	switch {
	case g.handed.epoch != nil || g.handed.taking:
		return ErrOutstanding
	case ledger.Sent != nil:
		return fmt.Errorf("%w: %s", ErrUnresolved, ledger.Sent)
	}
	g.handed.taking = true
	return nil
}

// take waits for the epoch that Next returns.
func (g *Group) take(ctx context.Context) (*Epoch, error) {
	e, err := g.await(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.log.Sync(e.end); err != nil {
		g.Return(e)
		return nil, g.deviceError(err)
	}
	if err := g.choosePieces(e); err != nil {
		g.Return(e)
		return nil, err
	}
	for i := range e.after.volumes {
		v, err := g.epochVolume(e, &e.after.volumes[i])
		if err != nil {
			g.Return(e)
			return nil, err
		}
		e.vols = append(e.vols, v)
	}
	return e, nil
}

// await waits for something sealed that is not committed, and pins it.
func (g *Group) await(ctx context.Context) (*Epoch, error) {
	for {
		if err := g.log.Err(); err != nil {
			return nil, g.deviceError(err)
		}
		e, changed, err := g.gather()
		if e != nil || err != nil {
			return e, err
		}
		if g.syncing.any() { // there is something to send though no host writes
			if err := g.sealEmpty(ctx); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-g.done:
			return nil, errClosing
		case <-changed:
		}
	}
}

// gather makes an epoch of what is sealed and not committed, up to the first named point. nil: there is nothing until
// changed is closed.
func (g *Group) gather() (e *Epoch, changed chan struct{}, err error) {
	g.merging.Lock()
	defer g.merging.Unlock()
	for {
		g.stacks.Lock()
		changed = g.stacks.changed
		run := g.runLocked(g.settledEnd())
		if len(run) > 1 && run[0].busy {
			run = run[:1]
		}
		if len(run) <= 1 || g.namedLocked() != nil {
			e, err = g.epochLocked(run)
			g.stacks.Unlock()
			return e, changed, err
		}
		g.stacks.Unlock()
		g.stacks.replace(run, mergeLayers(run)) // when the destager was faster there are fewer the next time
	}
}

// namedLocked returns the shadow of the first named point behind the last commit; nil if there is none.
func (g *Group) namedLocked() *shadow {
	for _, s := range *g.shadows.chain.Load() {
		if s.name != "" && s.end > g.settledEnd() {
			return s
		}
	}
	return nil
}

// epochLocked pins the epoch that begins behind the last commit: up to a named point that the base has passed, or to
// the end of run, or, when the log overflowed, to where the base is. nil: there is none.
func (g *Group) epochLocked(run []*layer) (*Epoch, error) {
	settled := g.settledEnd()
	bottom := g.stacks.current.Load().layers[0]
	e := &Epoch{group: g, first: settled + 1}
	switch s := g.namedLocked(); {
	case s != nil:
		e.end, e.name, e.sealedAt, e.after = s.end, s.name, s.sealedAt, s.table
	case len(run) > 0:
		e.layer = run[0]
		e.end, e.name, e.sealedAt, e.after = e.layer.end, e.layer.name, e.layer.sealedAt, e.layer.after
	case bottom.first-1 > settled:
		e.end, e.sealedAt, e.after = bottom.first-1, g.opt.Now(), bottom.before
	default:
		return nil, nil
	}
	var err error
	if e.before, err = g.tableAtLocked(settled); err != nil {
		return nil, err
	}
	if e.layer != nil {
		e.layer.handed.Store(true)
	}
	e.old, e.new = g.pinLocked(settled, e.before), g.pinLocked(e.end, e.after)
	return e, nil
}

// tableAtLocked returns the volume table at the last committed point.
func (g *Group) tableAtLocked(settled ident.Seq) (*table, error) {
	if settled == 0 {
		return new(table), nil
	}
	for _, l := range g.stacks.current.Load().layers {
		if l.first == settled+1 {
			return l.before, nil
		}
	}
	for _, s := range *g.shadows.chain.Load() {
		if s.end == settled {
			return s.table, nil
		}
	}
	return nil, fmt.Errorf("the state at %d, which is committed, was not kept: %w", settled, ErrNotFound)
}

// runLocked returns the oldest complete layers behind settled, up to a named one.
func (g *Group) runLocked(settled ident.Seq) []*layer {
	var run []*layer
	for _, l := range g.stacks.current.Load().layers {
		if l.end != 0 && l.end <= settled {
			continue
		}
		if !l.complete.Load() {
			break
		}
		run = append(run, l)
		if l.name != "" {
			break
		}
	}
	return run
}

func (g *Group) epochVolume(e *Epoch, info *checkpoint.Volume) (EpochVolume, error) {
	b := g.base(info.Number)
	v := EpochVolume{
		ID: info.ID, Name: info.Name, Size: info.Size, BlockSize: info.BlockSize,
		Created: e.before.find(info.Number) == nil,
		Old:     &view{pin: e.old, base: b, size: e.before.size(info.Number)},
		New:     &view{pin: e.new, base: b, size: info.Size},
	}
	pc := e.pieces[info.Number]
	if pc != nil {
		v.Old.(*view).hidden, v.New.(*view).hidden = pc.sync.hidden, pc.next
	}
	written := new(extent.Sealed)
	if e.layer != nil {
		written = e.layer.sealed(info.Number)
		if w := e.layer.volume(info.Number); w != nil {
			v.HostBytes = w.hostBytes.Load()
		}
	}
	if g.base(info.Number) != nil && e.first <= ident.Seq(g.baseEnd.Load()) {
		passed, err := g.passed(e, info, v.Created)
		if err != nil {
			return v, fmt.Errorf("volume %q: %w", info.Name, err)
		}
		v.HostBytes += passed.Bytes()
		written = extent.Merge(written, passed)
	}
	if pc != nil {
		written = extent.Merge(written, pc.ranges)
	}
	for x := range written.All() {
		v.Extents = appendExtent(v.Extents, Extent{Off: x.Off, Len: int64(x.Len), Zero: x.Zero() && x.Pos != 0, Tag: classify.Tag(x.Tag)})
	}
	if pc != nil {
		v.Extents, v.Partial = visible(v.Extents, pc.next), pc.next.Bytes() > 0
	}
	return v, nil
}

// passed returns, as entries without a record, what the epoch may have changed of a volume where the base has gone on:
// the blocks that shadows have or, of a volume that did not exist before, all that are not zero.
func (g *Group) passed(e *Epoch, info *checkpoint.Volume, created bool) (*extent.Sealed, error) {
	var list extent.Blocks
	tag := uint8(classify.MakeTag(classify.LargeData, classify.Unknown, false))
	add := func(block int64) {
		off := block * leaf.BlockSize
		list.Add(off, min(leaf.BlockSize, info.Size-off), tag)
	}
	if !created {
		err := g.dirty(info, e.first-1, e.end, add)
		return list.Sealed(), err
	}
	b := g.base(info.Number)
	err := b.leaves.Scan(alignUp(info.Size)/leaf.BlockSize, func(index int64, _ leaf.Entry) bool {
		add(index)
		return true
	})
	return list.Sealed(), err
}

// appendExtent appends x, joined to the last extent where that differs in nothing.
func appendExtent(list []Extent, x Extent) []Extent {
	if n := len(list); n > 0 {
		if last := &list[n-1]; last.Off+last.Len == x.Off && last.Zero == x.Zero && last.Tag == x.Tag {
			last.Len += x.Len
			return list
		}
	}
	return append(list, x)
}

func (g *Group) base(number uint32) *base {
	g.volumes.RLock()
	defer g.volumes.RUnlock()
	return g.volumes.bases[number]
}
