package meta

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tidwall/btree"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
)

// group is one consistency group. Slices in it are replaced, never changed in place.
//
// Invariant: points in tree order have rising numbers and rising times; the head is the last one and is never hidden.
type group struct {
	id          ident.GroupID
	name        string
	term        uint64
	gateway     ident.UUID
	gatewayName string
	keepLast    uint32
	replicas    []string // node names; they count for a quorum
	joining     []string // node names; they take the group in and become replicas when they hold it
	placed      uint64   // number of the head when the replicas last changed by Place
	timelines   []timeline
	numbers     uint64 // last number given
	released    uint64 // points up to this number need their wire packs no more
	head        ident.Point
	headTime    int64
	hidden      int // points in the tree that are deleted but not released
	points      *btree.BTreeG[stored]
	names       map[uint64]string // number → name; replaced, never changed in place
}

// timeline is one history of a group. End is the last sequence that was committed on it, set when the next one begins.
type timeline struct {
	id  ident.Timeline
	end ident.Seq
}

func newGroup(id ident.GroupID, name string, keepLast uint32, replicas []string) *group {
	return &group{
		id: id, name: name, keepLast: keepLast, replicas: replicas,
		points: btree.NewBTreeGOptions(storedLess, btree.Options{NoLocks: true}),
	}
}

func (g *group) clone() *group {
	c := *g
	c.points = g.points.Copy()
	return &c
}

// Group is what is known of a consistency group.
type Group struct {
	ID          ident.GroupID
	Name        string
	Term        uint64
	Gateway     ident.UUID
	GatewayName string
	KeepLast    uint32
	Replicas    []string    // node names; they count for a quorum
	Joining     []string    // node names; they are taking the group in to become replicas
	Placed      uint64      // number of the head when the replicas last changed by Place
	Head        ident.Point // zero: none yet
	Number      uint64      // of the head
	Points      int         // kept
	Released    uint64      // points up to this number need their wire packs no more
}

// Entry is one kept point.
type Entry struct {
	Point  ident.Point
	Number uint64
	Time   int64 // Unix nanoseconds
	Name   string
	Data   string // replicate.Commit, canonical encoding
}

// Commit decodes the commit that made the point.
func (e Entry) Commit() (*replicate.Commit, error) { return replicate.DecodeCommit([]byte(e.Data)) }

func (g *group) entry(s stored) Entry {
	p := g.unpack(s)
	return Entry{
		Point: ident.Point{
			Group: g.id, Timeline: g.timelines[p.timeline].id, End: p.end, Digest: sha256.Sum256([]byte(p.commit)),
		},
		Number: p.number, Time: p.time, Name: g.names[p.number], Data: p.commit,
	}
}

func (g *group) info() Group {
	return Group{
		ID: g.id, Name: g.name, Term: g.term, Gateway: g.gateway, GatewayName: g.gatewayName, KeepLast: g.keepLast,
		Replicas: g.replicas, Joining: g.joining, Placed: g.placed, Head: g.head, Number: g.numbers, Points: g.points.Len() - g.hidden, Released: g.released,
	}
}

// timeline returns the index of a timeline, -1 when the group never was on it.
func (g *group) timeline(id ident.Timeline) int {
	return slices.IndexFunc(g.timelines, func(t timeline) bool { return t.id == id })
}

// find returns the point with an identity's timeline and end, whatever its digest.
func (g *group) find(p ident.Point) (stored, bool) {
	i := g.timeline(p.Timeline)
	if i < 0 {
		return stored{}, false
	}
	return g.points.Get(stored{timeline: uint32(i), end: p.End})
}

// kept returns the point p if it is kept.
func (g *group) kept(p ident.Point) (Entry, error) {
	found, ok := g.find(p)
	if ok && !found.hidden {
		if e := g.entry(found); e.Point == p {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("%w: point %s", rpc.ErrUnknown, p)
}

func (g *group) setName(number uint64, name string) {
	names := cloneMap(g.names)
	delete(names, number)
	if name != "" {
		names[number] = name
	}
	g.names = names
}

func (g *group) named(name string) bool {
	for _, n := range g.names {
		if n == name {
			return true
		}
	}
	return false
}

// freeName returns name, or the first of name-2, name-3, … that no point of the group has.
func (g *group) freeName(name string) string {
	free := name
	for i := 2; g.named(free); i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	return free
}

// Groups lists the groups by ID.
func (s *State) Groups() []Group {
	l := make([]Group, 0, len(s.groups))
	for _, g := range s.groups {
		l = append(l, g.info())
	}
	slices.SortFunc(l, func(a, b Group) int { return slices.Compare(a.ID.UUID[:], b.ID.UUID[:]) })
	return l
}

// Group returns one group, or ErrUnknown.
func (s *State) Group(id ident.GroupID) (Group, error) {
	g, err := s.group(id)
	if err != nil {
		return Group{}, err
	}
	return g.info(), nil
}

// Head returns the newest point of a group; ErrUnknown when there is no such group, the zero Entry when it is empty.
func (s *State) Head(id ident.GroupID) (Entry, error) {
	g, err := s.group(id)
	if err != nil {
		return Entry{}, err
	}
	p, ok := g.points.Max()
	if !ok {
		return Entry{}, nil
	}
	return g.entry(p), nil
}

// Points lists the kept points of a group, oldest first; the newest limit ones only, unless limit is 0.
func (s *State) Points(id ident.GroupID, limit int) ([]Entry, error) {
	g, err := s.group(id)
	if err != nil {
		return nil, err
	}
	var l []Entry
	g.points.Reverse(func(p stored) bool {
		if !p.hidden {
			l = append(l, g.entry(p))
		}
		return limit == 0 || len(l) < limit
	})
	slices.Reverse(l)
	return l, nil
}

// Chain lists the points of a group, deleted ones too, that may have wire packs: what a replica that follows decodes
// one after the other. Oldest first.
func (s *State) Chain(id ident.GroupID) ([]Entry, error) {
	g, err := s.group(id)
	if err != nil {
		return nil, err
	}
	var l []Entry
	g.points.Reverse(func(p stored) bool {
		if p.number() <= g.released {
			return false
		}
		l = append(l, g.entry(p))
		return true
	})
	slices.Reverse(l)
	return l, nil
}

// Find returns a kept point, or ErrUnknown.
func (s *State) Find(p ident.Point) (Entry, error) {
	g, err := s.group(p.Group)
	if err != nil {
		return Entry{}, err
	}
	return g.kept(p)
}

// Number returns the number of a point, deleted ones included while they are not released; 0: no such point.
func (s *State) Number(p ident.Point) uint64 {
	g := s.groups[p.Group]
	if g == nil {
		return 0
	}
	found, ok := g.find(p)
	if !ok || g.entry(found).Point != p {
		return 0
	}
	return found.number()
}

// Follows reports whether a node keeps a copy of a group: because the group is placed there or will be, or because a disk
// there follows one of its volumes.
func (s *State) Follows(node string, id ident.GroupID) bool {
	g := s.groups[id]
	if g == nil {
		return false
	}
	if slices.Contains(g.replicas, node) || slices.Contains(g.joining, node) {
		return true
	}
	for _, d := range s.disks {
		if d.Node == node && d.Group == id {
			return true
		}
	}
	return false
}

// Reached reports whether point p, or a later one of its timeline, has been committed. When the group has left that
// timeline before p, it never will be: ErrFork.
func (s *State) Reached(p ident.Point) (bool, error) {
	g, err := s.group(p.Group)
	if err != nil {
		return false, err
	}
	i := g.timeline(p.Timeline)
	switch {
	case i < 0:
		return false, nil
	case i == len(g.timelines)-1:
		return g.head.End >= p.End, nil
	case g.timelines[i].end < p.End:
		return false, fmt.Errorf("%w: the group left timeline %s at %d, before %d", rpc.ErrFork, p.Timeline, g.timelines[i].end, p.End)
	}
	return true, nil
}

// Excess returns the numbers of the unnamed points of a group that its retention rule does not keep, oldest first, at most limit of them; points for which inUse is true, pinned ones and the head are left out.
func (s *State) Excess(id ident.GroupID, limit int, inUse func(number uint64) bool) []uint64 {
	return s.ExcessBy(id, s.RuleOf(id), limit, inUse)
}

// ExcessBy is Excess for any rule.
func (s *State) ExcessBy(id ident.GroupID, r Rule, limit int, inUse func(number uint64) bool) []uint64 {
	g := s.groups[id]
	if g == nil || r.IsZero() {
		return nil
	}
	pins := s.pinned(id)
	pinned := func(number uint64) bool { return pins[number] || inUse(number) }
	if r.calendar() {
		return g.excessByCalendar(r, limit, pinned)
	}
	return g.excessByCount(int(r.Last), limit, pinned)
}

// excessByCount is ExcessBy for a rule that keeps the last points.
func (g *group) excessByCount(last, limit int, pinned func(number uint64) bool) []uint64 {
	over := g.points.Len() - g.hidden - len(g.names) - last
	var l []uint64
	g.points.Scan(func(p stored) bool {
		if over <= 0 || len(l) == limit {
			return false
		}
		if p.hidden || g.names[p.number()] != "" {
			return true
		}
		over--
		if n := p.number(); n != g.numbers && !pinned(n) {
			l = append(l, n)
		}
		return true
	})
	return l
}
