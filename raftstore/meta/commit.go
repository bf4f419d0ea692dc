package meta

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// ErrOldAcks says that packs were deleted after a commit's acknowledgements were given: ask the nodes again. It is an
// rpc.ErrMissing.
var ErrOldAcks = fmt.Errorf("acknowledgements are older than the last deletion: %w", rpc.ErrMissing)

// Check tells what Apply would say of a commit now, acknowledgements aside; so a leader can answer before it moves
// data. When the point exists already, it returns its Entry and true.
func (s *State) Check(term uint64, c *replicate.Commit) (Entry, bool, error) {
	g, err := s.group(c.Group)
	if err != nil {
		return Entry{}, false, err
	}
	if term != g.term {
		return Entry{}, false, fmt.Errorf("%w: term is %d, session has %d", rpc.ErrStaleTerm, g.term, term)
	}
	p := c.Point()
	if found, ok := g.find(p); ok {
		e := g.entry(found)
		if e.Point != p {
			return Entry{}, false, fmt.Errorf("%w: %s, committed is %s", rpc.ErrFork, p, e.Point)
		}
		return e, true, nil
	}
	if c.Previous != g.head {
		return Entry{}, false, fmt.Errorf("%w: it builds on %s, head is %s", rpc.ErrNotHead, c.Previous, g.head)
	}
	if i := g.timeline(c.Timeline); i >= 0 && i != len(g.timelines)-1 {
		return Entry{}, false, fmt.Errorf("%w: the group has left timeline %s", rpc.ErrFork, c.Timeline)
	}
	return Entry{}, false, nil
}

func (m *Commit) apply(s *State, _ uint64) Result {
	c, err := replicate.DecodeCommit(m.Data)
	if err == nil && c.Group != m.Group {
		err = errors.New("it is of another group")
	}
	if err != nil {
		return refuse(rpc.ErrBadRequest, "commit of group %s: %v", m.Group, err)
	}
	e, repeat, err := s.Check(m.Term, c)
	if err != nil || repeat {
		return Result{Err: err, Point: e, Repeat: repeat}
	}
	g := s.groups[m.Group]
	if err := s.acknowledged(g, c.Packs, m.Acks, m.Masks); err != nil {
		return Result{Err: err}
	}
	for _, p := range c.Packs {
		s.packs[p.ID]++
	}
	return Result{Point: g.append(c, string(m.Data)), Commit: c}
}

// append makes c the group's head.
func (g *group) append(c *replicate.Commit, data string) Entry {
	if g.timeline(c.Timeline) < 0 {
		closed := append([]timeline(nil), g.timelines...)
		if n := len(closed); n > 0 {
			closed[n-1].end = g.head.End
		}
		g.timelines = append(closed, timeline{id: c.Timeline})
	}
	g.numbers++
	p := point{
		timeline: uint32(len(g.timelines) - 1), end: c.End, number: g.numbers,
		time: max(g.headTime+1, c.Time), commit: data,
	}
	s := g.pack(p)
	g.points.Set(s)
	g.headTime = p.time
	if c.Name != "" {
		g.setName(p.number, g.freeName(c.Name))
	}
	e := g.entry(s)
	g.head = e.Point
	return e
}

// acknowledged checks that each pack is on a quorum of the group's replicas.
func (s *State) acknowledged(g *group, packs []pack.Ref, acks []Ack, masks []uint64) error {
	if len(packs) == 0 {
		return nil
	}
	if len(acks) > 64 || (len(masks) != 1 && len(masks) != len(packs)) {
		return fmt.Errorf("%w: %d acknowledgements, %d masks for %d packs", rpc.ErrBadRequest, len(acks), len(masks), len(packs))
	}
	counted := s.counted(g, acks)
	want := Quorum(len(g.replicas))
	for i, p := range packs {
		mask, floor := masks[min(i, len(masks)-1)]&counted, s.AckFloor(p.ID)
		held, old := 0, 0
		for m := mask; m != 0; m &= m - 1 {
			if acks[bits.TrailingZeros64(m)].Freed >= floor {
				held++
			} else {
				old++
			}
		}
		switch {
		case held >= want:
		case held+old >= want:
			return fmt.Errorf("%w: pack %s", ErrOldAcks, p.ID)
		default:
			return fmt.Errorf("%w: %s: %d of %d replicas acknowledged, %d must", rpc.ErrMissing, p.ID, held, len(g.replicas), want)
		}
	}
	return nil
}

// counted is the mask of the acknowledgements that come from replicas of the group, one of each.
func (s *State) counted(g *group, acks []Ack) uint64 {
	var mask uint64
	for _, name := range g.replicas {
		id := s.nodes[name].ID
		if i := slices.IndexFunc(acks, func(a Ack) bool { return a.Node == id }); i >= 0 && id != "" {
			mask |= 1 << i
		}
	}
	return mask
}
