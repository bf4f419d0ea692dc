package raftstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// WaitPoint implements rpc.ProviderServer. Passed on by a node, it waits for the disks that it names, of this node.
func (s *server) WaitPoint(ctx context.Context, r *rpc.WaitPointRequest) (*rpc.WaitPointReply, error) {
	p, err := toPoint(r.GetPoint())
	if err != nil {
		return nil, err
	}
	if forwarded(ctx) {
		return s.waitOwnDisks(ctx, p, r.GetDiskIds())
	}
	// A disk that was added before the call is in the list of the leader, and of nobody else for certain.
	may := s.requireLeader
	if r.GetDisks() {
		may = s.consistent
	}
	if err := may(ctx); err != nil {
		return nil, err
	}
	err = s.fsm.wait(ctx, func(st *meta.State) (bool, error) { return st.Reached(p) })
	if err == nil && r.GetDisks() {
		err = s.waitDisks(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	g, err := try(s.fsm, func(st *meta.State) (meta.Group, error) { return st.Group(p.Group) })
	return &rpc.WaitPointReply{Head: rpc.FromPoint(g.Head)}, err
}

func (s *server) waitOwnDisks(ctx context.Context, p ident.Point, disks [][]byte) (*rpc.WaitPointReply, error) {
	if len(disks) > meta.MaxDisks {
		return nil, fmt.Errorf("%w: %d disks, at most %d", rpc.ErrBadRequest, len(disks), meta.MaxDisks)
	}
	ids := make([]ident.UUID, len(disks))
	for i, b := range disks {
		var err error
		if ids[i], err = rpc.ToUUID(b); err != nil {
			return nil, fmt.Errorf("disk: %w", err)
		}
	}
	return &rpc.WaitPointReply{}, s.copies.WaitApplied(ctx, p, ids...)
}

// waitDisks returns when every disk of p's group shows p or a later point. Which disks those are the agreed list says,
// whether their nodes know of them yet or not.
func (s *server) waitDisks(ctx context.Context, p ident.Point) error {
	for {
		var disks []meta.Disk
		for _, d := range view(s.fsm, (*meta.State).Disks) {
			if d.Group == p.Group {
				disks = append(disks, d)
			}
		}
		removed, err := s.waitListed(ctx, p, disks)
		if err == nil || !removed || ctx.Err() != nil {
			return err
		}
	}
}

// waitListed is waitDisks for disks that are listed. It gives up, with an error, when one of them is removed.
func (s *server) waitListed(ctx context.Context, p ident.Point, disks []meta.Disk) (removed bool, err error) {
	nodes := make(map[string][]ident.UUID)
	for _, d := range disks {
		nodes[d.Node] = append(nodes[d.Node], d.ID)
	}
	ctx, cancel := context.WithCancel(ctx)
	var gone atomic.Bool
	var watch sync.WaitGroup
	watch.Go(func() {
		err := s.fsm.wait(ctx, func(st *meta.State) (bool, error) {
			for _, d := range disks {
				if _, ok := st.Disk(d.ID); !ok {
					return true, nil
				}
			}
			return false, nil
		})
		if err == nil {
			gone.Store(true)
			cancel()
		}
	})
	waits, turn := errgroup.WithContext(ctx)
	for name, ids := range nodes {
		waits.Go(func() error { return s.waitDisksAt(turn, name, ids, p) })
	}
	err = waits.Wait()
	cancel()
	watch.Wait()
	return gone.Load(), err
}

// waitDisksAt waits for disks of the node called name.
func (s *server) waitDisksAt(ctx context.Context, name string, ids []ident.UUID, p ident.Point) error {
	if name == s.opt.Name {
		return s.copies.WaitApplied(ctx, p, ids...)
	}
	node, err := s.node(name)
	if err != nil {
		return fmt.Errorf("disks of a node that was removed: %w", err)
	}
	q := &rpc.WaitPointRequest{Point: rpc.FromPoint(p), Disks: true}
	for _, id := range ids {
		q.DiskIds = append(q.DiskIds, id[:])
	}
	_, err = call(ctx, s.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.WaitPointReply, error) {
		return rpc.NewProviderClient(cc).WaitPoint(ctx, q)
	})
	if err != nil {
		return fmt.Errorf("disks of node %s: %w", name, err)
	}
	return nil
}
