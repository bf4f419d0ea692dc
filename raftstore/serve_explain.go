package raftstore

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/rpc"
)

// explainMax is the number of chunks that one answer lists.
const explainMax = 1 << 16

// ExplainPoint implements rpc.ProviderServer.
func (s *server) ExplainPoint(ctx context.Context, r *rpc.ExplainPointRequest) (*rpc.ExplainPointReply, error) {
	p, err := toPoint(r.GetPoint())
	if err != nil {
		return nil, err
	}
	e, err := try(s.fsm, func(st *meta.State) (meta.Entry, error) { return st.Find(p) })
	if err != nil {
		return nil, err
	}
	c, err := e.Commit()
	if err != nil {
		return nil, err
	}
	if len(r.GetVolume()) == 0 {
		return &rpc.ExplainPointReply{Volumes: fromVolumes(c.Volumes)}, nil
	}
	v, err := toVolume(r.GetVolume())
	if err != nil {
		return nil, err
	}
	if r.GetOffset() < 0 || r.GetLength() < 0 {
		return nil, fmt.Errorf("%w: %d bytes at %d", rpc.ErrBadRequest, r.GetLength(), r.GetOffset())
	}
	limit := int(r.GetLimit())
	if limit == 0 || limit > explainMax {
		limit = explainMax
	}
	return serveAt(ctx, s, r.GetPoint(), func(rd reader) (*rpc.ExplainPointReply, error) {
		list := rd.Explain
		if r.GetContent() {
			list = rd.Content
		}
		x, err := list(ctx, v, r.GetOffset(), r.GetLength(), limit)
		if err != nil {
			return nil, err
		}
		m := fromExplanation(r.GetVolume(), x)
		m.Volumes = fromVolumes(c.Volumes)
		return m, nil
	}, func(ctx context.Context, c rpc.ProviderClient) (*rpc.ExplainPointReply, error) {
		return c.ExplainPoint(ctx, r)
	})
}

func fromExplanation(volume []byte, x replica.Explanation) *rpc.ExplainPointReply {
	m := &rpc.ExplainPointReply{Omitted: x.Omitted, Complete: x.Complete, End: x.End, Since: rpc.FromPoint(x.Since)}
	for _, c := range x.Changes {
		m.Chunks = append(m.Chunks, &rpc.ExplainedChunk{
			Volume: volume, Offset: c.Off, Length: c.Len, Class: uint32(c.Class), Zero: c.Zero,
		})
	}
	for class, t := range x.Totals {
		if t.Chunks > 0 {
			m.Totals = append(m.Totals, &rpc.ExplainedTotal{Class: uint32(class), Chunks: t.Chunks, Bytes: t.Bytes})
		}
	}
	return m
}
