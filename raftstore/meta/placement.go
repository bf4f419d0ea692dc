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

// fill gives groups that have too few replicas more of them, and takes away those that are no members any more.
func (s *State) fill() []ident.GroupID {
	var changed []ident.GroupID
	for id, g := range s.groups {
		after := slices.DeleteFunc(slices.Clone(g.replicas), func(n string) bool {
			_, ok := s.nodes[n]
			return !ok
		})
		for _, n := range s.Ideal(id) {
			if len(after) < int(s.replicas) && !slices.Contains(after, n) {
				after = append(after, n)
			}
		}
		if !slices.Equal(after, g.replicas) {
			g.replicas = after
			changed = append(changed, id)
		}
	}
	sortGroups(changed)
	return changed
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
	for i, n := range m.After {
		if _, ok := s.nodes[n]; !ok || slices.Contains(m.After[:i], n) {
			return refuse(errBadPlace, "group %s on %v", m.Group, m.After)
		}
	}
	if len(m.After) == 0 {
		return refuse(errBadPlace, "group %s on no node", m.Group)
	}
	g.replicas = m.After
	return Result{Changed: []ident.GroupID{m.Group}}
}
