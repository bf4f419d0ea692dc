package meta

import (
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// MaxPins bounds the pins of a cluster.
const MaxPins = 1 << 16

// Pin keeps a point, whatever retention says, for somebody who reads it: a clone, or an export.
type Pin struct {
	ID    ident.UUID
	Point ident.Point
	Owner string // who releases it: role and name, as in its certificate
	Note  string // for people
}

func (p *Pin) code(c *coder) {
	c.fixed(p.ID[:])
	codePoint(c, &p.Point)
	c.text(&p.Owner, MaxTextBytes)
	c.text(&p.Note, MaxTextBytes)
}

// AddPin pins a kept point.
type AddPin struct{ Pin Pin }

// RemovePin releases a pin.
type RemovePin struct{ ID ident.UUID }

func (*AddPin) Kind() Kind    { return KindAddPin }
func (*RemovePin) Kind() Kind { return KindRemovePin }

func (m *AddPin) code(c *coder) { m.Pin.code(c) }

func (m *RemovePin) code(c *coder) { c.fixed(m.ID[:]) }

// apply takes the same pin again as done.
func (m *AddPin) apply(s *State, _ uint64) Result {
	if m.Pin.ID.IsZero() || m.Pin.Owner == "" {
		return refuse(rpc.ErrBadRequest, "pin %+v", m.Pin)
	}
	if have, ok := s.pins[m.Pin.ID]; ok {
		if have == m.Pin {
			return Result{}
		}
		return refuse(rpc.ErrExists, "pin %s of %s keeps point %s", have.ID, have.Owner, have.Point)
	}
	if _, err := s.Find(m.Pin.Point); err != nil {
		return Result{Err: err}
	}
	if len(s.pins) == MaxPins {
		return refuse(rpc.ErrFull, "%d pins", MaxPins)
	}
	s.pins[m.Pin.ID] = m.Pin
	return Result{}
}

func (m *RemovePin) apply(s *State, _ uint64) Result {
	if _, ok := s.pins[m.ID]; !ok {
		return refuse(rpc.ErrUnknown, "pin %s", m.ID)
	}
	delete(s.pins, m.ID)
	return Result{}
}

// Pins lists the pins by ID.
func (s *State) Pins() []Pin {
	return sorted(s.pins, func(a, b Pin) int { return slices.Compare(a.ID[:], b.ID[:]) })
}

// pinOf returns a pin of the point.
func (s *State) pinOf(p ident.Point) (Pin, bool) {
	for _, pin := range s.Pins() {
		if pin.Point == p {
			return pin, true
		}
	}
	return Pin{}, false
}

// pinned returns the numbers of the points of a group that are pinned.
func (s *State) pinned(id ident.GroupID) map[uint64]bool {
	var out map[uint64]bool
	for _, p := range s.pins {
		if p.Point.Group != id {
			continue
		}
		if out == nil {
			out = make(map[uint64]bool)
		}
		out[s.Number(p.Point)] = true
	}
	return out
}
