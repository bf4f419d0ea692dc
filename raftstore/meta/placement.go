package meta

import (
	"cmp"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/zeebo/xxh3"
)

// rank orders nodes by how much a group prefers them (rendezvous hashing, by name so that a node that comes back with
// a new disk keeps its groups). Adding or removing a node moves only the groups that it wins or had.
func rank(group ident.GroupID, names []string) []string {
	type scored struct {
		name  string
		score uint64
	}
	l := make([]scored, len(names))
	for i, n := range names {
		l[i] = scored{n, xxh3.Hash(append(group.UUID[:], n...))}
	}
	slices.SortFunc(l, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.name, b.name))
	})
	ranked := make([]string, len(l))
	for i, s := range l {
		ranked[i] = s.name
	}
	return ranked
}

// Ideal returns the nodes that a group would be placed on if it were made now.
func (s *State) Ideal(group ident.GroupID) []string {
	names := make([]string, 0, len(s.nodes))
	for n := range s.nodes {
		names = append(names, n)
	}
	ranked := rank(group, names)
	return ranked[:min(len(ranked), int(s.replicas))]
}

// Quorum is the number of replicas, of n, that must hold a pack before it counts.
func Quorum(n int) int { return n/2 + 1 }

// fill adjusts all groups to the nodes there are. Nodes that are no members any more leave at once. Nodes that should
// hold a group and do not yet begin to join it; an empty group they hold at once.
func (s *State) fill() []ident.GroupID {
	var changed []ident.GroupID
	for id, g := range s.groups {
		gone := func(n string) bool { _, ok := s.nodes[n]; return !ok }
		replicas := slices.DeleteFunc(slices.Clone(g.replicas), gone)
		ideal := s.Ideal(id)
		if g.points.Len() == 0 {
			replicas = ideal
		}
		joining := slices.DeleteFunc(slices.Clone(ideal), func(n string) bool { return slices.Contains(replicas, n) })
		if !slices.Equal(replicas, g.replicas) || !slices.Equal(joining, g.joining) {
			g.replicas, g.joining = replicas, joining
			changed = append(changed, id)
		}
	}
	sortGroups(changed)
	return changed
}

// empty takes a node out of the replicas of all groups that have points: its disk is new.
func (s *State) empty(node string) {
	for _, g := range s.groups {
		if g.points.Len() > 0 {
			g.replicas = slices.DeleteFunc(slices.Clone(g.replicas), func(n string) bool { return n == node })
		}
	}
}

// soleReplica returns a group with points that only the node holds.
func (s *State) soleReplica(node string) (ident.GroupID, bool) {
	var held []ident.GroupID
	for id, g := range s.groups {
		if g.points.Len() > 0 && slices.Equal(g.replicas, []string{node}) {
			held = append(held, id)
		}
	}
	sortGroups(held)
	if len(held) == 0 {
		return ident.GroupID{}, false
	}
	return held[0], true
}

// Promotion makes a node that joins a group one of its replicas. It returns nil when the node does not join the group,
// or the group has one replica too many already.
func (s *State) Promotion(id ident.GroupID, node string) *Place {
	g := s.groups[id]
	if g == nil || !slices.Contains(g.joining, node) || len(g.replicas) > int(s.replicas) {
		return nil
	}
	return &Place{Group: id, Before: g.replicas, After: append(slices.Clone(g.replicas), node)}
}

// Relief takes away the replica that a group prefers least, if it has one too many; nil if not. It must wait until a
// quorum of those that stay has verified Group.Placed: what came later is on a quorum of them anyway.
func (s *State) Relief(id ident.GroupID) *Place {
	g := s.groups[id]
	if g == nil || len(g.replicas) <= int(s.replicas) {
		return nil
	}
	return &Place{Group: id, Before: g.replicas, After: rank(id, g.replicas)[:len(g.replicas)-1]}
}

func sortGroups(l []ident.GroupID) {
	slices.SortFunc(l, func(a, b ident.GroupID) int { return slices.Compare(a.UUID[:], b.UUID[:]) })
}

func (m *Place) apply(s *State, _ uint64) Result {
	g, err := s.group(m.Group)
	if err != nil {
		return Result{Err: err}
	}
	if !slices.Equal(g.replicas, m.Before) {
		return refuse(errPlaceMoved, "group %s is on %v, not on %v", m.Group, g.replicas, m.Before)
	}
	if !slices.ContainsFunc(m.After, func(n string) bool { return slices.Contains(m.Before, n) }) && g.points.Len() > 0 {
		return refuse(errBadPlace, "group %s on %v: none of %v stays", m.Group, m.After, m.Before)
	}
	for i, n := range m.After {
		if _, ok := s.nodes[n]; !ok || slices.Contains(m.After[:i], n) {
			return refuse(errBadPlace, "group %s on %v", m.Group, m.After)
		}
	}
	if len(m.After) == 0 {
		return refuse(errBadPlace, "group %s on no node", m.Group)
	}
	g.replicas, g.placed = m.After, g.numbers
	g.joining = slices.DeleteFunc(s.Ideal(m.Group), func(n string) bool { return slices.Contains(m.After, n) })
	return Result{Changed: []ident.GroupID{m.Group}}
}
