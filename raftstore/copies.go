package raftstore

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

var _ packStore = (*packs.Store)(nil)

// replicaNice is the niceness of the threads that take points in: the doors of a gateway in the same process come first.
const replicaNice = 15

// ownCopies are copies kept by package replica.
type ownCopies struct{ *replica.Set }

var _ copies = ownCopies{}

func openCopies(n *Node) (copies, error) {
	set, err := replica.Open(replica.Options{
		Dir: n.path("replica"), Packs: n.packs, Fetch: n.fetch, Peer: replicaPeer{n},
		Node: n.opt.Name, Logger: n.opt.Logger, Nice: replicaNice,
	})
	if err != nil {
		return nil, err
	}
	return ownCopies{set}, nil
}

func (c ownCopies) Point(p ident.Point) (reader, error) {
	r, err := c.Set.Point(p)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// replicaPeer reads points from other replicas for this node's copy.
type replicaPeer struct{ n *Node }

var _ replica.Peer = replicaPeer{}

func fromPeers[Rep any](ctx context.Context, n *Node, p ident.Point, ask func(context.Context, rpc.ProviderClient) (Rep, error)) (Rep, error) {
	return elsewhere(ctx, n, p, fmt.Errorf("%w: point %s", replica.ErrNotIngested, p), ask)
}

func (r replicaPeer) ReadPoint(ctx context.Context, p ident.Point, v ident.VolumeID, off int64, n int) ([]byte, error) {
	m, err := fromPeers(ctx, r.n, p, func(ctx context.Context, c rpc.ProviderClient) (*rpc.ReadPointReply, error) {
		return c.ReadPoint(ctx, &rpc.ReadPointRequest{Point: rpc.FromPoint(p), Volume: v.UUID[:], Offset: off, Length: uint32(n)})
	})
	return m.GetData(), err
}

func (r replicaPeer) Leaves(ctx context.Context, p ident.Point, v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error) {
	m, err := fromPeers(ctx, r.n, p, func(ctx context.Context, c rpc.ProviderClient) (*rpc.LeavesReply, error) {
		return c.Leaves(ctx, &rpc.LeavesRequest{Point: rpc.FromPoint(p), Volume: v.UUID[:], First: first, Count: uint32(count)})
	})
	if err != nil {
		return nil, err
	}
	b := m.GetLeaves()
	out := make([]leaf.Leaf, len(b)/8)
	for i := range out {
		out[i] = leaf.Leaf(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out, nil
}

func (r replicaPeer) Extents(ctx context.Context, p ident.Point, v ident.VolumeID, off, n int64) ([]target.Extent, error) {
	m, err := fromPeers(ctx, r.n, p, func(ctx context.Context, c rpc.ProviderClient) (*rpc.PointExtentsReply, error) {
		return c.PointExtents(ctx, &rpc.PointExtentsRequest{Point: rpc.FromPoint(p), Volume: v.UUID[:], Offset: off, Length: n})
	})
	return toExtents(m.GetExtents()), err
}

// Device returns a volume at a point as a read-only device, from this node's copy. Errors: replica.ErrNotIngested when
// the copy does not hold the point, replica.ErrNoVolume.
func (n *Node) Device(p ident.Point, v ident.VolumeID) (target.Device, error) {
	rd, err := n.copies.Point(p)
	if err != nil {
		return nil, err
	}
	return rd.Device(v)
}

// Find returns what the node knows of a kept point; rpc.ErrUnknown when it knows none such.
func (n *Node) Find(p ident.Point) (meta.Entry, error) {
	return try(n.fsm, func(s *meta.State) (meta.Entry, error) { return s.Find(p) })
}
