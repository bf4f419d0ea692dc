package raftstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
)

// votersMax is how many members vote; further ones only follow.
const votersMax = 5

const joinTimeout = 30 * time.Second

// enter brings a node that has just started into the cluster. A sole voter elects itself at once; a new node asks to
// join; a node whose address has changed says so.
func (n *Node) enter() {
	defer n.wg.Done()
	members := n.members()
	self := slices.IndexFunc(members, func(s raft.Server) bool { return s.ID == raft.ServerID(n.ID()) })
	if self >= 0 && len(members) == 1 {
		n.electSelf()
		return
	}
	if self >= 0 && members[self].Address == raft.ServerAddress(n.address) {
		return
	}
	targets := slices.Clone(n.opt.Join)
	for i, m := range members {
		if i != self {
			targets = append(targets, string(m.Address))
		}
	}
	if self < 0 && (len(members) > 0 || len(n.opt.Join) == 0) {
		return // removed, or waiting to be made a member
	}
	n.join(targets)
}

// electSelf skips the wait for a leader that can not be: this node is the only voter.
func (n *Node) electSelf() {
	header := raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(n.ID()),
		Addr:            []byte(n.address),
	}
	self := raft.ServerAddress(n.port.ln.Addr().String())
	err := n.transport.TimeoutNow(raft.ServerID(n.ID()), self, &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{})
	if err != nil {
		n.log.Debug("electing the only voter", "err", err) // Raft does so by itself, only later
	}
}

// join asks the members at targets for membership until it is granted.
func (n *Node) join(targets []string) {
	c, err := rpc.Dial(rpc.ClientOptions{Addresses: targets, TLS: n.opt.TLS})
	if err != nil {
		n.log.Error("joining", "err", err)
		return
	}
	defer func() { _ = c.Close() }() // nothing is left to do on it
	for n.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(n.ctx, joinTimeout)
		_, err := rpc.NewProviderClient(c).Join(ctx, &rpc.JoinRequest{Id: n.ID(), Name: n.opt.Name, Address: n.address})
		cancel()
		if err == nil {
			n.log.Info("joined the cluster", "through", targets)
			return
		}
		n.log.Warn("joining", "through", targets, "err", err)
		if !sleep(n.ctx, time.Second) {
			return
		}
	}
}

// admit makes a node a member at its address, in Raft and in the State. A node of the same name with another ID is put
// out first: its disk is gone.
func (n *Node) admit(node meta.Node) error {
	members := n.members()
	voters := 0
	for _, m := range members {
		if m.Suffrage == raft.Voter {
			voters++
		}
		if memberName(m) == node.Name && m.ID != raft.ServerID(node.ID) {
			if err := n.raft.RemoveServer(m.ID, 0, proposeTimeout).Error(); err != nil {
				return fmt.Errorf("%w: putting out %s: %w", rpc.ErrNoQuorum, m.ID, err)
			}
			voters--
		}
	}
	if err := n.admitToRaft(node, members, voters); err != nil {
		return err
	}
	known, ok := try(n.fsm, func(s *meta.State) (meta.Node, bool) { return s.Node(node.Name) })
	if ok && known == node {
		return nil
	}
	_, err := n.propose(&meta.SetNode{Node: node})
	return err
}

func (n *Node) admitToRaft(node meta.Node, members []raft.Server, voters int) error {
	id, addr := raft.ServerID(node.ID), raft.ServerAddress(node.Address)
	for _, m := range members {
		if m.ID == id && m.Address == addr {
			return nil
		}
	}
	known := slices.ContainsFunc(members, func(m raft.Server) bool { return m.ID == id && m.Suffrage == raft.Voter })
	var f raft.IndexFuture
	if known || voters < votersMax {
		f = n.raft.AddVoter(id, addr, 0, proposeTimeout)
	} else {
		f = n.raft.AddNonvoter(id, addr, 0, proposeTimeout)
	}
	if err := f.Error(); err != nil {
		return fmt.Errorf("%w: admitting %s: %w", rpc.ErrNoQuorum, node.ID, err)
	}
	return nil
}

// expel ends a node's membership. Called again after a failure it finishes what is left.
func (n *Node) expel(name string) error {
	if name == n.opt.Name {
		if len(n.voters()) == 1 {
			return fmt.Errorf("%w: node %s is the only one of its cluster that votes; let another join before it is removed", rpc.ErrInUse, name)
		}
		n.handOver()
		return n.notLeader() // the caller asks the next leader
	}
	found := false
	if _, ok := try(n.fsm, func(s *meta.State) (meta.Node, bool) { return s.Node(name) }); ok {
		found = true
		if _, err := n.propose(&meta.RemoveNode{Name: name}); err != nil {
			return err
		}
	}
	for _, m := range n.members() {
		if memberName(m) != name {
			continue
		}
		found = true
		if err := n.raft.RemoveServer(m.ID, 0, proposeTimeout).Error(); err != nil {
			return fmt.Errorf("%w: removing %s: %w", rpc.ErrNoQuorum, m.ID, err)
		}
	}
	if !found {
		return fmt.Errorf("%w: node %q", rpc.ErrUnknown, name)
	}
	return nil
}

// memberName is the node name in a server ID.
func memberName(m raft.Server) string {
	name, _, _ := strings.Cut(string(m.ID), "/")
	return name
}
