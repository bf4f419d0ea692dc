package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
	"google.golang.org/grpc"
)

// Limits of what one call may ask for.
const (
	readBytesMax  = 4 << 20
	leavesMax     = 1 << 18
	deletesMax    = 1 << 14
	extentBytesMx = 1 << 40
)

// consistent returns nil when what this node has applied is all that was agreed on, and it may say so.
func (n *Node) consistent(ctx context.Context) error {
	if err := n.requireLeader(ctx); err != nil {
		return err
	}
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return n.notLeader()
	}
	return nil
}

// Points implements rpc.ProviderServer.
func (s *server) Points(ctx context.Context, r *rpc.PointsRequest) (*rpc.PointsReply, error) {
	var only *ident.GroupID
	if len(r.GetGroup()) > 0 {
		g, err := toGroup(r.GetGroup())
		if err != nil {
			return nil, err
		}
		only = &g
	}
	if err := s.consistent(ctx); err != nil {
		return nil, err
	}
	entries, err := try(s.fsm, func(st *meta.State) ([]meta.Entry, error) { return pointsOf(st, only, int(r.GetLimit())) })
	if err != nil {
		return nil, err
	}
	reply := &rpc.PointsReply{}
	for _, e := range entries {
		info, err := fromEntry(e)
		if err != nil {
			return nil, err
		}
		info.Verified = e.Number <= s.verified(e.Point.Group)
		reply.Points = append(reply.Points, info)
	}
	return reply, nil
}

func pointsOf(st *meta.State, only *ident.GroupID, limit int) ([]meta.Entry, error) {
	if only != nil {
		return st.Points(*only, limit)
	}
	var all []meta.Entry
	for _, g := range st.Groups() {
		l, err := st.Points(g.ID, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, l...)
	}
	return all, nil
}

// verified returns the number of the newest point of a group that this node has taken in and verified.
func (n *Node) verified(group ident.GroupID) uint64 {
	p := n.copies.Verified(group)
	if p.IsZero() {
		return 0
	}
	number, released := try(n.fsm, func(s *meta.State) (uint64, uint64) {
		g, err := s.Group(group)
		if err != nil {
			return 0, 0
		}
		return s.Number(p), g.Released
	})
	return max(number, min(number, released))
}

// NamePoint implements rpc.ProviderServer.
func (s *server) NamePoint(ctx context.Context, r *rpc.NamePointRequest) (*rpc.NamePointReply, error) {
	p, err := toPoint(r.GetPoint())
	if err != nil {
		return nil, err
	}
	if len(r.GetName()) > replicate.MaxNameSize {
		return nil, fmt.Errorf("%w: name of %d bytes, at most %d", rpc.ErrBadRequest, len(r.GetName()), replicate.MaxNameSize)
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	_, err = s.propose(&meta.NamePoint{Point: p, Name: r.GetName()})
	return &rpc.NamePointReply{}, err
}

// DeletePoints implements rpc.ProviderServer.
func (s *server) DeletePoints(ctx context.Context, r *rpc.DeletePointsRequest) (*rpc.DeletePointsReply, error) {
	if len(r.GetPoints()) > deletesMax {
		return nil, fmt.Errorf("%w: %d points, at most %d at once", rpc.ErrBadRequest, len(r.GetPoints()), deletesMax)
	}
	cmd := &meta.DeletePoints{}
	for _, m := range r.GetPoints() {
		p, err := toPoint(m)
		if err != nil {
			return nil, err
		}
		cmd.Points = append(cmd.Points, p)
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	for _, p := range cmd.Points {
		number := view(s.fsm, func(st *meta.State) uint64 { return st.Number(p) })
		if s.house.pinned(p.Group, number) {
			return nil, fmt.Errorf("%w: a disk shows point %s", rpc.ErrInUse, p)
		}
	}
	done, err := s.propose(cmd)
	return &rpc.DeletePointsReply{Deleted: uint64(len(done.Forgotten))}, err
}

// SetRetention implements rpc.ProviderServer.
func (s *server) SetRetention(ctx context.Context, r *rpc.SetRetentionRequest) (*rpc.SetRetentionReply, error) {
	group, err := toGroup(r.GetGroup())
	if err != nil {
		return nil, err
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	_, err = s.propose(&meta.SetRetention{Group: group, KeepLast: r.GetKeepLast()})
	return &rpc.SetRetentionReply{}, err
}

// ReadPoint implements rpc.ProviderServer.
func (s *server) ReadPoint(ctx context.Context, r *rpc.ReadPointRequest) (*rpc.ReadPointReply, error) {
	v, err := toVolume(r.GetVolume())
	if err != nil {
		return nil, err
	}
	if r.GetOffset() < 0 || r.GetLength() > readBytesMax {
		return nil, fmt.Errorf("%w: %d bytes at %d, at most %d", rpc.ErrBadRequest, r.GetLength(), r.GetOffset(), readBytesMax)
	}
	return serveAt(ctx, s, r.GetPoint(), func(rd reader) (*rpc.ReadPointReply, error) {
		b := make([]byte, r.GetLength())
		return &rpc.ReadPointReply{Data: b}, rd.ReadAt(v, b, r.GetOffset())
	}, func(ctx context.Context, c rpc.ProviderClient) (*rpc.ReadPointReply, error) {
		return c.ReadPoint(ctx, r)
	})
}

// PointExtents implements rpc.ProviderServer.
func (s *server) PointExtents(ctx context.Context, r *rpc.PointExtentsRequest) (*rpc.PointExtentsReply, error) {
	v, err := toVolume(r.GetVolume())
	if err != nil {
		return nil, err
	}
	if r.GetOffset() < 0 || r.GetLength() < 0 || r.GetLength() > extentBytesMx {
		return nil, fmt.Errorf("%w: %d bytes at %d", rpc.ErrBadRequest, r.GetLength(), r.GetOffset())
	}
	return serveAt(ctx, s, r.GetPoint(), func(rd reader) (*rpc.PointExtentsReply, error) {
		l, err := rd.Extents(v, r.GetOffset(), r.GetLength())
		return &rpc.PointExtentsReply{Extents: fromExtents(l)}, err
	}, func(ctx context.Context, c rpc.ProviderClient) (*rpc.PointExtentsReply, error) {
		return c.PointExtents(ctx, r)
	})
}

// Leaves implements rpc.ProviderServer.
func (s *server) Leaves(ctx context.Context, r *rpc.LeavesRequest) (*rpc.LeavesReply, error) {
	v, err := toVolume(r.GetVolume())
	if err != nil {
		return nil, err
	}
	if r.GetCount() > leavesMax || r.GetFirst() > 1<<50 {
		return nil, fmt.Errorf("%w: %d leaves at %d, at most %d", rpc.ErrBadRequest, r.GetCount(), r.GetFirst(), leavesMax)
	}
	var failed error // of reading the bytes here, which another replica's bytes must not hide
	return serveAt(ctx, s, r.GetPoint(), func(rd reader) (*rpc.LeavesReply, error) {
		leavesOf := rd.Leaves
		if r.GetRead() {
			leavesOf = func(v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error) {
				return readLeaves(ctx, rd, v, first, count)
			}
		}
		l, err := leavesOf(v, r.GetFirst(), int(r.GetCount()))
		if r.GetRead() {
			failed = err
		}
		b := make([]byte, 0, 8*len(l))
		for _, x := range l {
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
		}
		return &rpc.LeavesReply{Leaves: b}, err
	}, func(ctx context.Context, c rpc.ProviderClient) (*rpc.LeavesReply, error) {
		if failed != nil {
			return nil, failed
		}
		return c.Leaves(ctx, r)
	})
}

// readStep is how many blocks readLeaves reads at a time.
const readStep = 256

// readLeaves hashes the bytes that are stored for count blocks, the last of which may be short.
func readLeaves(ctx context.Context, rd reader, v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error) {
	d, err := rd.Device(v)
	if err != nil {
		return nil, err
	}
	off, size := int64(first)*leaf.BlockSize, d.Size()
	if err := target.CheckRange(off, max(0, min(int64(count)*leaf.BlockSize, size-off)), size); err != nil {
		return nil, err
	}
	out := make([]leaf.Leaf, 0, count)
	buf := make([]byte, min(count, readStep)*leaf.BlockSize)
	for len(out) < count && off < size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := buf[:min(int64(len(buf)), int64(count-len(out))*leaf.BlockSize, size-off)]
		if err := rd.ReadAt(v, p, off); err != nil {
			return nil, err
		}
		off += int64(len(p))
		for ; len(p) > 0; p = p[min(leaf.BlockSize, len(p)):] {
			out = append(out, leaf.Of(p[:min(leaf.BlockSize, len(p))]))
		}
	}
	return out, nil
}

// serveAt answers a call about a point from the copy at this node, or passes it on to the group's replicas one after
// the other. A call that was passed on is not passed on again.
func serveAt[Rep any](ctx context.Context, s *server, m *rpc.Point, here func(reader) (Rep, error),
	there func(context.Context, rpc.ProviderClient) (Rep, error),
) (Rep, error) {
	var none Rep
	p, err := toPoint(m)
	if err != nil {
		return none, err
	}
	rd, err := s.copies.Point(p)
	if err == nil {
		var rep Rep
		if rep, err = here(rd); err == nil {
			return rep, nil
		}
		if forwarded(ctx) || !errors.Is(translate(err), rpc.ErrDamaged) {
			return none, err
		}
		s.log.Error("copy of a point can not be read, asking another replica", "point", p, "err", err)
	} else if forwarded(ctx) {
		return none, err
	}
	return elsewhere(ctx, s.Node, p, err, there)
}

// elsewhere asks the other replicas of a point's group. why is what this node can not answer for.
func elsewhere[Rep any](ctx context.Context, n *Node, p ident.Point, why error,
	ask func(context.Context, rpc.ProviderClient) (Rep, error),
) (Rep, error) {
	var none Rep
	at, err := try(n.fsm, func(st *meta.State) (placement, error) { return place(st, p.Group) })
	if err != nil {
		return none, err
	}
	for _, node := range at.nodes {
		if node.ID == n.ID() {
			continue
		}
		rep, err := call(ctx, n.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (Rep, error) {
			return ask(ctx, rpc.NewProviderClient(cc))
		})
		if err == nil {
			return rep, nil
		}
		why = errors.Join(why, fmt.Errorf("%s: %w", node.Name, err))
	}
	return none, why
}
