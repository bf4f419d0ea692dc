package meta

import (
	"fmt"

	"github.com/weirstor/weir/replicate/rpc"
)

var (
	errPlaceMoved = fmt.Errorf("placement has changed: %w", rpc.ErrInUse)
	errBadPlace   = fmt.Errorf("no such placement: %w", rpc.ErrBadRequest)
)

func refuse(err error, format string, args ...any) Result {
	return Result{Err: fmt.Errorf("%w: %s", err, fmt.Sprintf(format, args...))}
}

func (m *Init) apply(s *State, _ uint64) Result {
	if s.replicas != 0 {
		return refuse(rpc.ErrExists, "cluster %s", s.cluster)
	}
	if m.Cluster.IsZero() || m.Replicas == 0 || m.Replicas > MaxNodes {
		return refuse(rpc.ErrBadRequest, "cluster %s with %d replicas", m.Cluster, m.Replicas)
	}
	s.cluster, s.replicas, s.keepLast = m.Cluster, m.Replicas, m.KeepLast
	return Result{}
}

func (m *SetNode) apply(s *State, _ uint64) Result {
	n := m.Node
	if n.Name == "" || n.ID == "" || n.Address == "" {
		return refuse(rpc.ErrBadRequest, "node %+v", n)
	}
	if _, known := s.nodes[n.Name]; !known && len(s.nodes) == MaxNodes {
		return refuse(rpc.ErrFull, "%d nodes", MaxNodes)
	}
	for _, o := range s.nodes {
		if o.Name != n.Name && (o.ID == n.ID || o.Address == n.Address) {
			return refuse(rpc.ErrExists, "node %s at %s is %s at %s", o.ID, o.Address, o.Name, o.Address)
		}
	}
	if old, known := s.nodes[n.Name]; known && old.ID != n.ID {
		if g, sole := s.soleReplica(n.Name); sole {
			return refuse(rpc.ErrInUse, "node %s with another disk: only %s holds group %s", n.Name, old.ID, g)
		}
		s.empty(n.Name)
	}
	s.nodes[n.Name] = n
	return Result{Changed: s.fill()}
}

func (m *RemoveNode) apply(s *State, _ uint64) Result {
	if _, ok := s.nodes[m.Name]; !ok {
		return refuse(rpc.ErrUnknown, "node %s", m.Name)
	}
	if len(s.nodes) == 1 {
		return refuse(rpc.ErrInUse, "%s is the last node", m.Name)
	}
	if g, sole := s.soleReplica(m.Name); sole {
		return refuse(rpc.ErrInUse, "only %s holds group %s; a node that joins takes it over in time", m.Name, g)
	}
	delete(s.nodes, m.Name)
	return Result{Changed: s.fill()}
}
