package raftstore

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc"
)

// Scrub implements rpc.PointsServer.
func (s *server) Scrub(ctx context.Context, r *rpc.ScrubRequest) (*rpc.ScrubReply, error) {
	if r.GetBytesPerSecond() > math.MaxInt64 {
		return nil, fmt.Errorf("%w: %d bytes per second", rpc.ErrBadRequest, r.GetBytesPerSecond())
	}
	if !r.GetEverywhere() || forwarded(ctx) {
		return &rpc.ScrubReply{Nodes: []*rpc.NodeScrub{s.scrub(ctx, int64(r.GetBytesPerSecond()))}}, nil
	}
	nodes := view(s.fsm, (*meta.State).Nodes)
	out := make([]*rpc.NodeScrub, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { out[i] = s.scrubNode(ctx, node, r) })
	}
	wg.Wait()
	return &rpc.ScrubReply{Nodes: out}, ctx.Err()
}

// scrubNode scrubs one node of the cluster; one that can not be reached is reported as such.
func (s *server) scrubNode(ctx context.Context, node meta.Node, r *rpc.ScrubRequest) *rpc.NodeScrub {
	if node.ID == s.ID() {
		return s.scrub(ctx, int64(r.GetBytesPerSecond()))
	}
	reply, err := call(ctx, s.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.ScrubReply, error) {
		return rpc.NewPointsClient(cc).Scrub(ctx, &rpc.ScrubRequest{BytesPerSecond: r.GetBytesPerSecond()})
	})
	if err == nil && len(reply.GetNodes()) == 1 {
		return reply.GetNodes()[0]
	}
	return &rpc.NodeScrub{Node: node.Name, Error: fmt.Sprintf("can not be asked: %v", err)}
}

// scrub scrubs this node.
func (s *server) scrub(ctx context.Context, bytesPerSecond int64) *rpc.NodeScrub {
	rep, err := s.copies.Scrub(ctx, bytesPerSecond)
	out := &rpc.NodeScrub{Node: s.opt.Name, Packs: uint64(rep.Packs), Bytes: uint64(rep.Bytes), Omitted: uint64(rep.Omitted),
		Repaired: uint64(rep.Repaired)}
	if err != nil {
		out.Error = err.Error()
	}
	for _, d := range rep.Damages {
		m := &rpc.Damage{Group: d.Group.UUID[:], Volume: d.Volume.UUID[:], VolumeName: s.volumeName(d), Offset: d.Off, Length: d.Len,
			Error: d.Err.Error()}
		for _, p := range d.Points {
			m.Ends = append(m.Ends, uint64(p.End))
		}
		out.Damages = append(out.Damages, m)
		s.log.Error("scrub: stored content is damaged", "volume", m.VolumeName, "offset", d.Off, "length", d.Len, "points", len(d.Points), "err", d.Err)
	}
	return out
}

// volumeName returns the name that the volume had at the newest of the points.
func (s *server) volumeName(d replica.Damage) string {
	if len(d.Points) == 0 {
		return ""
	}
	e, err := try(s.fsm, func(st *meta.State) (meta.Entry, error) { return st.Find(d.Points[len(d.Points)-1]) })
	if err != nil {
		return ""
	}
	return nameAt(e, d.Volume)
}

func nameAt(e meta.Entry, id ident.VolumeID) string {
	c, err := e.Commit()
	if err != nil {
		return ""
	}
	for _, v := range c.Volumes {
		if v.Volume == id {
			return v.Name
		}
	}
	return ""
}
