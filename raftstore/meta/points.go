package meta

import (
	"slices"

	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

func (m *NamePoint) apply(s *State, _ uint64) Result {
	e, err := s.Find(m.Point)
	if err != nil {
		return Result{Err: err}
	}
	g := s.groups[m.Point.Group]
	if m.Name != "" && m.Name != e.Name && g.named(m.Name) {
		return refuse(rpc.ErrExists, "a point of group %s is called %q", g.id, m.Name)
	}
	g.setName(e.Number, m.Name)
	return Result{}
}

func (m *SetRetention) apply(s *State, _ uint64) Result {
	g, err := s.group(m.Group)
	if err != nil {
		return Result{Err: err}
	}
	g.keepLast = m.KeepLast
	delete(s.rules, m.Group)
	return Result{}
}

// apply deletes all of the points or, when one is refused, none.
func (m *DeletePoints) apply(s *State, _ uint64) Result {
	for _, p := range m.Points {
		if _, err := s.Find(p); err != nil {
			return Result{Err: err}
		}
		if g := s.groups[p.Group]; g.head == p {
			return refuse(rpc.ErrInUse, "point %s is the head", p)
		}
		if pin, ok := s.pinOf(p); ok {
			return refuse(rpc.ErrInUse, "point %s is kept by %s of %s", p, pin.Note, pin.Owner)
		}
	}
	var r Result
	for _, p := range m.Points {
		g := s.groups[p.Group]
		found, ok := g.find(p)
		if !ok || found.hidden {
			continue // listed twice
		}
		g.setName(found.number(), "")
		g.forget(found)
		r.Forgotten = append(r.Forgotten, Forgotten{g.id, []uint64{found.number()}})
	}
	return r
}

// forget deletes a point, or hides it while later ones may have to be decoded against it.
func (g *group) forget(p stored) {
	if p.number() <= g.released {
		g.points.Delete(p)
		return
	}
	p.hidden = true
	g.hidden++
	g.points.Set(p)
}

// apply leaves out what has become wrong since the leader decided: groups that are gone, points that got a name.
func (m *Trim) apply(s *State, _ uint64) Result {
	var r Result
	for _, t := range m.Groups {
		g := s.groups[t.Group]
		if g == nil {
			continue
		}
		if gone := g.trim(t.Delete, s.pinned(t.Group)); len(gone) > 0 {
			r.Forgotten = append(r.Forgotten, Forgotten{g.id, gone})
		}
		s.release(g, t.Release, &r)
	}
	return r
}

// trim deletes the points with the numbers, named and pinned ones and the head excepted, and returns those that it
// deleted.
func (g *group) trim(numbers []uint64, pinned map[uint64]bool) (gone []uint64) {
	if len(numbers) == 0 {
		return nil
	}
	last := slices.Max(numbers)
	want := make(map[uint64]bool, len(numbers))
	for _, n := range numbers {
		want[n] = true
	}
	var found []stored
	g.points.Scan(func(p stored) bool {
		if n := p.number(); want[n] && !pinned[n] && !p.hidden && g.names[n] == "" && n != g.numbers {
			found = append(found, p)
		}
		return p.number() <= last
	})
	for _, p := range found {
		g.forget(p)
		gone = append(gone, p.number())
	}
	return gone
}

// release gives up the wire packs of all points up to a number: enough replicas have made store packs of them.
func (s *State) release(g *group, upTo uint64, r *Result) {
	if upTo <= g.released || upTo > g.numbers {
		return
	}
	var hidden []stored
	g.points.Reverse(func(p stored) bool {
		if p.number() <= g.released {
			return false
		}
		if p.number() > upTo {
			return true
		}
		s.unreference(g.unpack(p), r)
		if p.hidden {
			hidden = append(hidden, p)
		}
		return true
	})
	g.released = upTo
	for _, p := range hidden {
		g.points.Delete(p)
		g.hidden--
	}
}

func (s *State) unreference(p point, r *Result) {
	c, err := replicate.DecodeCommit([]byte(p.commit))
	if err != nil {
		return // can not be: apply and Restore have checked it; the packs are kept then
	}
	for _, ref := range c.Packs {
		if s.packs[ref.ID]--; s.packs[ref.ID] == 0 {
			delete(s.packs, ref.ID)
			r.Freed = append(r.Freed, ref.ID)
		}
	}
}

func (m *DropPacks) apply(s *State, _ uint64) Result {
	var free []pack.ID
	for _, id := range m.Packs {
		if s.packs[id] == 0 {
			free = append(free, id)
		}
	}
	return Result{Freed: free}
}
