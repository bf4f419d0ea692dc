package raftstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/peer"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc"
)

// Join implements rpc.ProviderServer.
func (s *server) Join(ctx context.Context, r *rpc.JoinRequest) (*rpc.JoinReply, error) {
	if err := requireNode(ctx); err != nil {
		return nil, err
	}
	node := meta.Node{Name: r.GetName(), ID: r.GetId(), Address: r.GetAddress()}
	if id := caller(ctx); id.name != node.Name {
		return nil, fmt.Errorf("%w: node %s asks to join as %q", rpc.ErrBadRequest, id.name, node.Name)
	}
	for _, t := range []string{node.Name, node.ID, node.Address} {
		if err := checkText("field of a node", t); err != nil {
			return nil, err
		}
	}
	if memberName(raft.Server{ID: raft.ServerID(node.ID)}) != node.Name || node.Address == "" {
		return nil, fmt.Errorf("%w: node %q with ID %q at %q", rpc.ErrBadRequest, node.Name, node.ID, node.Address)
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	if err := s.admit(node); err != nil {
		return nil, err
	}
	s.log.Info("node admitted", "name", node.Name, "id", node.ID, "address", node.Address)
	cluster := s.Cluster()
	return &rpc.JoinReply{Cluster: cluster.UUID[:]}, nil
}

// Remove implements rpc.ProviderServer.
func (s *server) Remove(ctx context.Context, r *rpc.RemoveRequest) (*rpc.RemoveReply, error) {
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	if err := s.expel(r.GetName()); err != nil {
		return nil, err
	}
	s.log.Info("node removed", "name", r.GetName())
	return &rpc.RemoveReply{}, nil
}

// Report implements peer.PeerServer.
func (s *server) Report(context.Context, *peer.ReportRequest) (*peer.ReportReply, error) {
	return s.report(), nil
}

// report is what this node tells the leader, or itself.
func (n *Node) report() *peer.ReportReply {
	count, bytes := n.packs.Usage()
	index, _ := n.fsm.applied()
	r := &peer.ReportReply{AppliedIndex: index, Packs: uint64(count), PackBytes: uint64(bytes)}
	for _, id := range n.strayPacks() {
		r.Strays = append(r.Strays, id[:])
	}
	pins := make(map[ident.GroupID][]uint64)
	for _, d := range n.copies.Disks() {
		if d.Number > 0 {
			pins[d.Spec.Group] = append(pins[d.Spec.Group], d.Number)
		}
	}
	for _, g := range view(n.fsm, (*meta.State).Groups) {
		if view(n.fsm, func(s *meta.State) bool { return s.Follows(n.opt.Name, g.ID) }) {
			r.Groups = append(r.Groups, &peer.GroupReport{Group: g.ID.UUID[:], Verified: n.verified(g.ID), Pinned: pins[g.ID]})
		}
	}
	return r
}

// Status implements rpc.ProviderServer.
func (s *server) Status(ctx context.Context, _ *rpc.StatusRequest) (*rpc.StatusReply, error) {
	return s.Node.Status(ctx)
}

// Status describes the cluster as this node knows it. Other nodes are asked for their share; one that does not answer
// within two seconds is unreachable.
func (n *Node) Status(ctx context.Context) (*rpc.StatusReply, error) {
	cluster := n.Cluster()
	index, err := n.fsm.applied()
	if err != nil {
		return nil, err
	}
	addr, leader := n.raft.LeaderWithID()
	r := &rpc.StatusReply{
		Cluster: cluster.UUID[:], Node: n.opt.Name, Leader: memberName(raft.Server{ID: leader}), LeaderAddress: string(addr),
		AppliedIndex: index,
	}
	r.Nodes = n.nodeStatus(ctx, r.Leader)
	for _, g := range view(n.fsm, (*meta.State).Groups) {
		gs, err := n.groupStatus(g)
		if err != nil {
			return nil, err
		}
		r.Groups = append(r.Groups, gs)
	}
	return r, nil
}

func (n *Node) nodeStatus(ctx context.Context, leader string) []*rpc.NodeStatus {
	voters := make(map[string]bool)
	for _, v := range n.voters() {
		voters[string(v.ID)] = true
	}
	nodes := view(n.fsm, (*meta.State).Nodes)
	out := make([]*rpc.NodeStatus, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		out[i] = &rpc.NodeStatus{
			Name: node.Name, Id: node.ID, Address: node.Address, Voter: voters[node.ID], Leader: node.Name == leader,
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			rep, err := n.reportOf(ctx, node)
			if err != nil {
				out[i].Error = err.Error()
				return
			}
			out[i].Reachable, out[i].Packs, out[i].PackBytes = true, rep.GetPacks(), rep.GetPackBytes()
		}()
	}
	wg.Wait()
	return out
}

// reportOf asks a node, this one too, for its report.
func (n *Node) reportOf(ctx context.Context, node meta.Node) (*peer.ReportReply, error) {
	if node.ID == n.ID() {
		return n.report(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerStatusTimeout)
	defer cancel()
	return call(ctx, n.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*peer.ReportReply, error) {
		return peer.NewPeerClient(cc).Report(ctx, &peer.ReportRequest{})
	})
}

func (n *Node) groupStatus(g meta.Group) (*rpc.GroupStatus, error) {
	m := &rpc.GroupStatus{
		Group: g.ID.UUID[:], Name: g.Name, Head: rpc.FromPoint(g.Head), Number: g.Number, Term: g.Term,
		GatewayName: g.GatewayName, KeepLast: g.KeepLast, Points: uint64(g.Points), Replicas: g.Replicas,
		Verified: rpc.FromPoint(n.copies.Verified(g.ID)),
	}
	if err := n.copies.Err(g.ID); err != nil {
		m.IngestError = err.Error()
	}
	if g.Head.IsZero() {
		return m, nil
	}
	head, err := try(n.fsm, func(s *meta.State) (meta.Entry, error) { return s.Head(g.ID) })
	if err != nil {
		return nil, err
	}
	c, err := head.Commit()
	if err != nil {
		return nil, fmt.Errorf("head of group %s: %w", g.ID, err)
	}
	m.Volumes = fromVolumes(c.Volumes)
	return m, nil
}
