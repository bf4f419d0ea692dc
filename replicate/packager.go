package replicate

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/trace"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
)

// packager turns a sealed epoch into packs and the commit that names them. It keeps what outlives an epoch: the
// encoder's index of earlier content and the file-system knowledge of each volume. Used by one goroutine.
type packager struct {
	encoder *codec.Encoder
	maps    map[ident.VolumeID]*classify.Map
	ages    map[ident.VolumeID]int              // epochs since the map was read
	learn   func(ident.VolumeID, *classify.Map) // tells the write path's tagger
	steer   *steering

	encodings map[ident.VolumeID]codec.EncodingCounts // of the epoch that was packaged last
}

// mapHeadBytes is how much of the start of a volume decides what is on it: partition table and first superblock.
const mapHeadBytes = 2 << 20

// pack encodes e, whose volumes are given, on top of the previous point and hands each pack to put in stream order.
// states are the state hashes at the previous point. The commit names every volume of the group at the epoch's end.
func (p *packager) pack(ctx context.Context, e *intercept.Epoch, volumes []intercept.EpochVolume, previous ident.Point, group ident.GroupID,
	timeline ident.Timeline, states map[ident.VolumeID]leaf.State, put func(pack.Pack) error) (*Commit, error) {
	sensitivity, traced := p.steer.now()
	changes := make([]codec.VolumeChange, len(volumes))
	for i, v := range volumes {
		changes[i] = p.change(v, states[v.ID])
		if s, ok := sensitivity[v.ID]; ok {
			changes[i].Sensitivity = &s
		}
	}
	var sum codec.Summary
	err := inBackground(func() (err error) {
		sum, err = p.encode(ctx, changes, traced, put)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("packaging the epoch that ends at %d: %w", e.End(), err)
	}
	c := &Commit{
		Group: group, Timeline: timeline, Previous: previous,
		First: e.First(), End: e.End(), Time: e.SealedAt().UnixNano(), Name: e.Name(),
		Packs: sum.Packs,
	}
	p.encodings = make(map[ident.VolumeID]codec.EncodingCounts)
	for i, v := range volumes {
		p.encodings[v.ID] = sum.Volumes[i].Encodings
		c.Volumes = append(c.Volumes, VolumeState{
			Volume: v.ID, Name: v.Name, Size: v.Size, BlockSize: v.BlockSize,
			State: sum.Volumes[i].State, Counts: sum.Volumes[i].Counts, Partial: v.Partial,
		})
	}
	return c, nil
}

// encode encodes one epoch, and notes in traced, if any, what it cost.
func (p *packager) encode(ctx context.Context, changes []codec.VolumeChange, traced *trace.Writer, put func(pack.Pack) error) (codec.Summary, error) {
	if traced == nil {
		p.encoder.Record(nil)
		return p.encoder.Encode(ctx, changes, put)
	}
	p.encoder.Record(traced)
	sum, err := p.encoder.Encode(ctx, changes, put)
	if err != nil {
		return sum, err
	}
	e, err := codec.PriceFixed(ctx, changes)
	if err != nil {
		return sum, fmt.Errorf("pricing for a trace: %w", err)
	}
	for _, r := range sum.Packs {
		e.Wire += int64(r.Size)
	}
	traced.Epoch(e)
	return sum, nil
}

func (p *packager) change(v intercept.EpochVolume, state leaf.State) codec.VolumeChange {
	ch := codec.VolumeChange{Volume: v.ID, Size: v.Size, Old: v.Old, New: v.New, State: state}
	ch.Extents = make([]codec.Extent, len(v.Extents))
	for i, x := range v.Extents {
		ch.Extents[i] = codec.Extent{Off: x.Off, Len: x.Len, Zero: x.Zero, Tag: x.Tag}
	}
	ch.Map = p.knowledge(v)
	return ch
}

// mapEpochs is how many epochs a file system that was recognised is taken for what it was: a busy one changes its group
// descriptors in each, and its directories are many reads.
const mapEpochs = 16

// knowledge returns the file-system map of v at the epoch's end, read again when the epoch wrote what decides it.
func (p *packager) knowledge(v intercept.EpochVolume) *classify.Map {
	m, known := p.maps[v.ID]
	p.ages[v.ID]++
	if known && (m.FileSystem() != "" && p.ages[v.ID] < mapEpochs || !touchesLayout(m, v.Extents)) {
		return m
	}
	fresh, err := classify.ReadMap(v.New, v.Size)
	if err != nil {
		return m // less well classified, never less well replicated
	}
	p.maps[v.ID], p.ages[v.ID] = fresh, 0
	if p.learn != nil {
		p.learn(v.ID, fresh)
	}
	return fresh
}

// touchesLayout reports whether a write may have changed where things are on the volume.
func touchesLayout(m *classify.Map, written []intercept.Extent) bool {
	for _, x := range written {
		if x.Off < mapHeadBytes {
			return true
		}
		if m == nil {
			continue
		}
		if kind, _ := m.RegionAt(x.Off); kind == classify.Superblock || kind == classify.GroupDesc {
			return true
		}
	}
	return false
}
