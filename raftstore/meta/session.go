package meta

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

func (m *OpenSession) apply(s *State, _ uint64) Result {
	if err := s.MayOpen(m); err != nil {
		return Result{Err: err}
	}
	g := s.groups[m.Group]
	if g == nil {
		g = newGroup(m.Group, m.GroupName, s.keepLast, s.Ideal(m.Group))
		s.groups[m.Group] = g
	}
	if m.GroupName != "" {
		g.name = m.GroupName
	}
	g.gateway, g.gatewayName = m.Gateway, m.GatewayName
	g.term++
	return Result{Term: g.term, Changed: []ident.GroupID{m.Group}}
}

// MayOpen tells whether a gateway may open a session of a group: whether it knows the right cluster, and whether the
// group is its own. ErrForeign, ErrOwned, ErrNoQuorum, ErrBadRequest.
func (s *State) MayOpen(m *OpenSession) error {
	if m.Group.IsZero() || m.Gateway.IsZero() {
		return fmt.Errorf("%w: session of gateway %s for group %s", rpc.ErrBadRequest, m.Gateway, m.Group)
	}
	if s.replicas == 0 || len(s.nodes) == 0 {
		return fmt.Errorf("%w: the cluster is not founded yet", rpc.ErrNoQuorum)
	}
	if !m.Cluster.IsZero() && m.Cluster != s.cluster {
		return fmt.Errorf("%w: gateway knows %s, this is %s", rpc.ErrForeign, m.Cluster, s.cluster)
	}
	g := s.groups[m.Group]
	if g != nil && g.gateway != m.Gateway && !m.Takeover {
		return fmt.Errorf("%w: group %s belongs to %s (%s)", rpc.ErrOwned, m.Group, g.gatewayName, g.gateway)
	}
	return nil
}

// MayContinue tells whether a gateway's history leads to the head: known is the last point that it knows committed,
// sent one whose commit it may have sent, both may be zero. A gateway that knows no point must not begin a group beside
// another one of its name, unless apart says so: it has most likely lost its folder. ErrHistory, ErrOtherGroup.
func (s *State) MayContinue(m *OpenSession, known, sent ident.Point, apart bool) error {
	g := s.groups[m.Group]
	switch {
	case g != nil && (g.head == known || g.head == sent && !sent.IsZero()):
		return nil
	case g != nil:
		return fmt.Errorf("%w: group %s is at %s, the gateway knows %s as committed", rpc.ErrHistory, m.Group, g.head, known)
	case !known.IsZero():
		return fmt.Errorf("%w: the cluster does not know group %s, the gateway knows %s as committed", rpc.ErrHistory, m.Group, known)
	case apart:
		return nil
	}
	if other := s.namesake(m); other != nil {
		return fmt.Errorf("%w: group %s of gateway %s is at %s, this gateway's folder has a new group %s", rpc.ErrOtherGroup,
			other.id, other.gatewayName, other.head, m.Group)
	}
	return nil
}

// namesake returns the group with the newest point that has the name of m's group and belongs to a gateway of the same name.
func (s *State) namesake(m *OpenSession) *group {
	var found *group
	for _, g := range s.groups {
		named := g.name == m.GroupName && g.gatewayName == m.GatewayName && m.GroupName != ""
		if named && g.id != m.Group && !g.head.IsZero() && (found == nil || g.headTime > found.headTime) {
			found = g
		}
	}
	return found
}

// CheckTerm tells whether a session term is the group's present one: ErrUnknown, ErrStaleTerm or nil. A term above
// the present one means that this State is behind; that is reported as ErrUnknown.
func (s *State) CheckTerm(id ident.GroupID, term uint64) error {
	g, err := s.group(id)
	switch {
	case err != nil:
		return err
	case term < g.term:
		return fmt.Errorf("%w: term is %d, session has %d", rpc.ErrStaleTerm, g.term, term)
	case term > g.term:
		return fmt.Errorf("%w: term %d of group %s, newest known is %d", rpc.ErrUnknown, term, id, g.term)
	}
	return nil
}
