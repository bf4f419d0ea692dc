package intercept

import (
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// Uncommitted returns the ranges of [off, off+n), sorted and without overlap, whose content may differ from that at the
// last committed point, with the in-path tag of the last write, and that point; every write that was acknowledged before
// the call and is not in the point is covered. Ranges of which only the place is known, because the base has gone on
// beyond the point, are whole blocks with the tag of LargeData. A volume of which the provider does not have everything
// yet is reported as a whole.
func (v *Volume) Uncommitted(off, n int64) ([]Extent, ident.Point, error) {
	if err := v.check(off, n); err != nil {
		return nil, ident.Point{}, err
	}
	g := v.group
	st := g.stacks.pin() // before the ledger is read: what is not in it any more is in the point
	defer g.stacks.unpin(st)
	committed := g.Ledger().Committed
	m, err := v.passedBy(committed.End)
	if err != nil {
		return nil, committed, err
	}
	if _, first := v.FirstSync(); first {
		m.Insert(extent.Entry{Tag: unknownTag}, off, n)
	}
	for _, l := range g.behind(st, committed.End) {
		written := l.volume(v.number)
		if written == nil {
			continue
		}
		for _, e := range written.get().Append(nil, off, off+n) {
			m.Insert(e, e.Off, int64(e.Len))
		}
	}
	var out []Extent
	for _, e := range m.Append(nil, off, off+n) {
		out = appendExtent(out, Extent{Off: e.Off, Len: int64(e.Len), Zero: e.Zero() && e.Pos != 0, Tag: classify.Tag(e.Tag)})
	}
	return out, committed, nil
}

var unknownTag = uint8(classify.MakeTag(classify.LargeData, classify.Unknown, false))

// passedBy returns the blocks that the base holds newer than a committed point, where the log ran full or replication was
// off.
func (v *Volume) passedBy(committed ident.Seq) (*extent.Active, error) {
	m, g := extent.NewActive(), v.group
	end := ident.Seq(g.baseEnd.Load())
	info := g.table.Load().find(v.number)
	if end <= committed || info == nil {
		return m, nil
	}
	err := g.dirty(info, committed, end, func(block int64) {
		at := block * leaf.BlockSize
		m.Insert(extent.Entry{Tag: unknownTag}, at, min(leaf.BlockSize, info.Size-at))
	})
	return m, err
}

// behind returns the layers of a stack that are not in a committed point.
func (g *Group) behind(st *stack, committed ident.Seq) []*layer {
	g.stacks.Lock() // a layer that takes writes is sealed under it
	defer g.stacks.Unlock()
	var list []*layer
	for _, l := range st.layers {
		if l.end == 0 || l.end > committed {
			list = append(list, l)
		}
	}
	return list
}
