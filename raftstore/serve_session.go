package raftstore

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
)

// formatMax is the highest version of wire formats that this build decodes.
const formatMax = 1

func (s *server) OpenSession(ctx context.Context, r *rpc.OpenSessionRequest) (*rpc.OpenSessionReply, error) {
	cmd, err := openCommand(r)
	if err != nil {
		return nil, err
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	if err := s.welcome(cmd, r); err != nil {
		return nil, err
	}
	granted, err := s.propose(cmd)
	if err != nil {
		return nil, err
	}
	head, err := try(s.fsm, func(st *meta.State) (meta.Entry, error) { return st.Head(cmd.Group) })
	if err != nil {
		return nil, err
	}
	cluster := s.Cluster()
	reply := &rpc.OpenSessionReply{
		Cluster: cluster.UUID[:], Term: granted.Term, Head: rpc.FromPoint(head.Point), FormatMax: formatMax,
	}
	if !head.Point.IsZero() {
		c, err := head.Commit()
		if err != nil {
			return nil, fmt.Errorf("head of group %s: %w", cmd.Group, err)
		}
		reply.Volumes = fromVolumes(c.Volumes)
	}
	s.log.Info("session opened", "group", cmd.Group, "gateway", cmd.GatewayName, "term", granted.Term,
		"head", head.Point, "takeover", cmd.Takeover)
	return reply, nil
}

// welcome refuses a gateway whose history is not the group's, before a term is granted to it: whoever holds the group
// goes on.
func (s *server) welcome(cmd *meta.OpenSession, r *rpc.OpenSessionRequest) error {
	known, err := rpc.ToPoint(r.GetKnownHead())
	if err != nil {
		return fmt.Errorf("known head: %w", err)
	}
	sent, err := rpc.ToPoint(r.GetSent())
	if err != nil {
		return fmt.Errorf("sent point: %w", err)
	}
	s.fsm.read(func(st *meta.State) {
		if err = st.MayOpen(cmd); err == nil && !r.GetReplace() {
			err = st.MayContinue(cmd, known, sent, r.GetApart())
		}
	})
	return err
}

func openCommand(r *rpc.OpenSessionRequest) (*meta.OpenSession, error) {
	cmd := &meta.OpenSession{GroupName: r.GetGroupName(), GatewayName: r.GetGatewayName(), Takeover: r.GetTakeover()}
	var err error
	if cmd.Group, err = toGroup(r.GetGroup()); err != nil {
		return nil, err
	}
	if cmd.Gateway, err = rpc.ToUUID(r.GetGateway()); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if len(r.GetCluster()) > 0 {
		u, err := rpc.ToUUID(r.GetCluster())
		if err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
		cmd.Cluster = ident.ClusterID{UUID: u}
	}
	if err := checkText("group name", cmd.GroupName); err != nil {
		return nil, err
	}
	return cmd, checkText("gateway name", cmd.GatewayName)
}
