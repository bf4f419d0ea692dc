package intercept

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
)

// Epoch is a sealed interval of the log on its way to the provider. It pins what its views need until Release.
type Epoch struct {
	group *Group
	layer *layer
	old   *pinned
	new   *pinned
	vols  []EpochVolume
}

// EpochVolume is one volume as it is at the end of an epoch, changed or not. Volumes that were deleted are absent.
type EpochVolume struct {
	ID        ident.VolumeID
	Name      string
	Size      int64 // bytes
	BlockSize int   // bytes
	Created   bool  // it did not exist at the last committed point
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
func (e *Epoch) First() ident.Seq { return e.layer.first }
func (e *Epoch) End() ident.Seq   { return e.layer.end }

// Name is that of the named point that the epoch ends with; "" if it has none.
func (e *Epoch) Name() string { return e.layer.name }

// SealedAt is the gateway's time at its end.
func (e *Epoch) SealedAt() time.Time { return e.layer.sealedAt }

// Volumes returns the volumes at the end of the epoch, in the order of their creation. The slice and what it refers to
// must not be changed.
func (e *Epoch) Volumes() []EpochVolume { return e.vols }

// Release gives up the views; reads through them fail afterwards. An epoch must be released after Committed before it
// can be destaged; Return releases it.
func (e *Epoch) Release() {
	e.old.release()
	e.new.release()
}

// Next blocks until an epoch is sealed that is not committed, and returns the oldest; further ones that wait behind it
// are merged into it, but never across a named point. Its end is on stable storage. One epoch is out at a time: until
// Committed or Return, Next fails with ErrOutstanding. ErrUnresolved while Ledger().Sent waits for ResolveSent;
// ErrDiverged when what was destaged without a commit stands in the way; otherwise the error of ctx or of the group.
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
	m, err := g.awaitRun(ctx)
	if err != nil {
		return nil, err
	}
	if err := g.log.Sync(m.end); err != nil {
		return nil, g.deviceError(err)
	}
	return g.newEpoch(m), nil
}

// awaitRun waits for complete layers that are not committed and returns those that make one epoch, merged.
func (g *Group) awaitRun(ctx context.Context) (*layer, error) {
	for {
		if err := g.log.Err(); err != nil {
			return nil, g.deviceError(err)
		}
		if g.diverged() {
			return nil, ErrDiverged
		}
		m, changed := g.mergeRun()
		if m != nil {
			return m, nil
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

// mergeRun puts one layer in the place of those that make the next epoch. nil: there are none until changed is closed.
func (g *Group) mergeRun() (m *layer, changed chan struct{}) {
	g.merging.Lock()
	defer g.merging.Unlock()
	for {
		g.stacks.Lock()
		changed = g.stacks.changed
		run := g.runLocked(g.settledEnd())
		g.stacks.Unlock()
		if len(run) == 0 {
			return nil, changed
		}
		if m = mergeLayers(run); len(run) == 1 || g.stacks.replace(run, m) {
			m.handed.Store(true)
			return m, changed
		}
	}
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

// newEpoch pins the views of m, a layer of the current stack.
func (g *Group) newEpoch(m *layer) *Epoch {
	g.stacks.Lock()
	layers := g.stacks.current.Load().layers
	i := slices.Index(layers, m)
	e := &Epoch{group: g, layer: m,
		old: &pinned{group: g, stack: g.stacks.newLocked(slices.Clone(layers[:i]))},
		new: &pinned{group: g, stack: g.stacks.newLocked(slices.Clone(layers[:i+1]))},
	}
	g.stacks.Unlock()
	for j := range m.after.volumes {
		e.vols = append(e.vols, g.epochVolume(e, &m.after.volumes[j]))
	}
	return e
}

func (g *Group) epochVolume(e *Epoch, info *checkpoint.Volume) EpochVolume {
	b := g.base(info.Number)
	v := EpochVolume{
		ID: info.ID, Name: info.Name, Size: info.Size, BlockSize: info.BlockSize,
		Created: e.layer.before.find(info.Number) == nil,
		Old:     &view{pin: e.old, base: b, size: e.layer.before.size(info.Number)},
		New:     &view{pin: e.new, base: b, size: info.Size},
	}
	for x := range e.layer.sealed(info.Number).All() {
		v.Extents = appendExtent(v.Extents, Extent{Off: x.Off, Len: int64(x.Len), Zero: x.Zero(), Tag: classify.Tag(x.Tag)})
	}
	if w := e.layer.volume(info.Number); w != nil {
		v.HostBytes = w.hostBytes.Load()
	}
	return v
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

func (g *Group) diverged() bool {
	g.durable.Lock()
	defer g.durable.Unlock()
	return g.durable.state.Diverged
}
