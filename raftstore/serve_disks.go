package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/disk"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc"
)

// peerStatusTimeout is how long a status waits for a node that does not answer.
const peerStatusTimeout = 2 * time.Second

// AddDisk implements rpc.ProviderServer.
func (s *server) AddDisk(ctx context.Context, r *rpc.AddDiskRequest) (*rpc.AddDiskReply, error) {
	d, err := toDisk(r.GetDisk())
	if err != nil {
		return nil, err
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	if d.ID.IsZero() {
		d.ID = ident.NewUUID()
	}
	if d.Node == "" {
		d.Node = s.opt.Name
	}
	if err := diskSpec(d).Valid(); err != nil {
		return nil, fmt.Errorf("%w: %w", rpc.ErrBadRequest, err)
	}
	_, err = s.propose(&meta.AddDisk{Disk: d})
	return &rpc.AddDiskReply{Disk: fromDisk(d)}, err
}

// RemoveDisk implements rpc.ProviderServer.
func (s *server) RemoveDisk(ctx context.Context, r *rpc.RemoveDiskRequest) (*rpc.RemoveDiskReply, error) {
	id, err := rpc.ToUUID(r.GetId())
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	_, err = s.propose(&meta.RemoveDisk{ID: id})
	return &rpc.RemoveDiskReply{}, err
}

// Disks implements rpc.ProviderServer: which disks there are the agreed list says, what state they are in their nodes.
// Passed on by a node, it answers for this node's disks only. While nobody leads, it answers by the list that this node
// knows.
func (s *server) Disks(ctx context.Context, r *rpc.DisksRequest) (*rpc.DisksReply, error) {
	var group ident.GroupID
	if len(r.GetGroup()) > 0 {
		var err error
		if group, err = toGroup(r.GetGroup()); err != nil {
			return nil, err
		}
	}
	if !forwarded(ctx) {
		var elsewhere *rpc.NotLeader
		if err := s.consistent(ctx); err != nil && (!errors.As(err, &elsewhere) || elsewhere.Address != "") {
			return nil, err
		}
	}
	var disks []meta.Disk
	others := make(map[string]bool)
	for _, d := range view(s.fsm, (*meta.State).Disks) {
		if !group.IsZero() && d.Group != group || forwarded(ctx) && d.Node != s.opt.Name {
			continue
		}
		disks = append(disks, d)
		if d.Node != s.opt.Name {
			others[d.Node] = true
		}
	}
	own := make(map[ident.UUID]replica.DiskStatus)
	for _, d := range s.copies.Disks() {
		own[d.Spec.ID] = d
	}
	told := s.disksElsewhere(ctx, others, group)
	reply := &rpc.DisksReply{}
	for _, d := range disks {
		if d.Node == s.opt.Name {
			reply.Disks = append(reply.Disks, diskStatus(d, own))
		} else {
			reply.Disks = append(reply.Disks, told[d.Node].status(d))
		}
	}
	return reply, nil
}

func diskStatus(d meta.Disk, own map[ident.UUID]replica.DiskStatus) *rpc.DiskStatus {
	m := &rpc.DiskStatus{Disk: fromDisk(d), State: string(disk.Fresh)}
	if st, ok := own[d.ID]; ok {
		m.State, m.Point = string(st.State), rpc.FromPoint(st.Point)
		m.Conflicts, m.AppliedBytes = fromExtents(st.Conflicts), uint64(max(0, st.AppliedBytes))
		if st.Err != nil {
			m.Error = st.Err.Error()
		}
	}
	return m
}

// nodeDisks is what a node tells of its disks, or why it tells nothing.
type nodeDisks struct {
	disks map[ident.UUID]*rpc.DiskStatus
	err   error
}

// status returns what the node tells of a disk: one that it does not know yet is new, and failed when it does not answer.
func (n nodeDisks) status(d meta.Disk) *rpc.DiskStatus {
	if n.err != nil {
		return &rpc.DiskStatus{Disk: fromDisk(d), State: string(disk.Failed), Error: n.err.Error()}
	}
	if m := n.disks[d.ID]; m != nil {
		return m
	}
	return &rpc.DiskStatus{Disk: fromDisk(d), State: string(disk.Fresh)}
}

// disksElsewhere asks the nodes called names for their disks.
func (s *server) disksElsewhere(ctx context.Context, names map[string]bool, group ident.GroupID) map[string]nodeDisks {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := make(map[string]nodeDisks)
	for name := range names {
		wg.Go(func() {
			l, err := s.disksAt(ctx, name, group)
			mu.Lock()
			defer mu.Unlock()
			out[name] = nodeDisks{l, err}
		})
	}
	wg.Wait()
	return out
}

func (s *server) disksAt(ctx context.Context, name string, group ident.GroupID) (map[ident.UUID]*rpc.DiskStatus, error) {
	node, err := s.node(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, peerStatusTimeout)
	defer cancel()
	q := &rpc.DisksRequest{}
	if !group.IsZero() {
		q.Group = group.UUID[:]
	}
	r, err := call(ctx, s.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.DisksReply, error) {
		return rpc.NewProviderClient(cc).Disks(ctx, q)
	})
	out := make(map[ident.UUID]*rpc.DiskStatus)
	for _, m := range r.GetDisks() {
		id, bad := rpc.ToUUID(m.GetDisk().GetId())
		if bad != nil {
			return nil, fmt.Errorf("disk of node %s: %w", name, bad)
		}
		out[id] = m
	}
	return out, err
}

func (n *Node) node(name string) (meta.Node, error) {
	node, ok := try(n.fsm, func(s *meta.State) (meta.Node, bool) { return s.Node(name) })
	if !ok {
		return node, fmt.Errorf("%w: node %q", rpc.ErrUnknown, name)
	}
	return node, nil
}

// VerifyDisk implements rpc.ProviderServer. It is answered by the disk's node.
func (s *server) VerifyDisk(ctx context.Context, r *rpc.VerifyDiskRequest) (*rpc.VerifyDiskReply, error) {
	id, err := rpc.ToUUID(r.GetId())
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	d, ok := try(s.fsm, func(st *meta.State) (meta.Disk, bool) { return st.Disk(id) })
	if !ok {
		return nil, fmt.Errorf("%w: disk %s", rpc.ErrUnknown, id)
	}
	if d.Node != s.opt.Name {
		if forwarded(ctx) {
			return nil, fmt.Errorf("%w: disk %s is at node %s", rpc.ErrUnknown, id, d.Node)
		}
		node, err := s.node(d.Node)
		if err != nil {
			return nil, err
		}
		return call(ctx, s.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.VerifyDiskReply, error) {
			return rpc.NewProviderClient(cc).VerifyDisk(ctx, r)
		})
	}
	rep, err := s.copies.VerifyDisk(ctx, id)
	if err != nil && !errors.Is(err, replica.ErrMismatch) {
		return nil, err
	}
	want, got := rep.StateWant.Bytes(), rep.StateGot.Bytes()
	return &rpc.VerifyDiskReply{
		Point: rpc.FromPoint(rep.Point), Blocks: rep.Blocks, Differences: fromExtents(rep.Differences),
		StateHashWant: want[:], StateHashGot: got[:],
	}, nil
}
