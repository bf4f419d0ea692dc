package meta

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

func (m *OpenSession) apply(s *State, _ uint64) Result {
	if err := s.mayOpen(m); err != nil {
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

func (s *State) mayOpen(m *OpenSession) error {
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
