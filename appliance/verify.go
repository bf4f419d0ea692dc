package appliance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/rpc"
)

const (
	verifyBlocks = 1024 // leaves that are compared at once: 4 MiB of content
	verifyPasses = 5    // how often a range that is being written is looked at again
	verifyRanges = 1024 // differing ranges that are listed
)

// Verify implements admin.Worker: it seals, waits for the commit, and compares leaves computed from the gateway's bytes
// with leaves computed from the provider's, and each disk with its point. A range that a host writes meanwhile is looked
// at again after the next commit.
func (s *System) Verify(ctx context.Context, volume string, report func(api.Progress)) (api.VerifyResult, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.VerifyResult{}, err
	}
	volumes := g.group.Volumes()
	if volume != "" {
		v, err := g.volume(volume)
		if err != nil {
			return api.VerifyResult{}, err
		}
		volumes = []*intercept.Volume{v}
	}
	if _, err := s.Cluster(ctx); err != nil {
		return api.VerifyResult{}, err // comparing would wait for the provider without an end
	}
	if err := g.complete(volumes...); err != nil {
		return api.VerifyResult{}, err
	}
	out := api.VerifyResult{Equal: true}
	for _, v := range volumes {
		r, err := g.verifyVolume(ctx, v, report)
		if err != nil {
			return out, err
		}
		out.Volumes = append(out.Volumes, r)
		out.Equal = out.Equal && r.Equal
		if err := s.verifyDisks(ctx, g, v.ID(), &out, report); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (s *System) verifyDisks(ctx context.Context, g *gateway, v ident.VolumeID, out *api.VerifyResult, report func(api.Progress)) error {
	disks, err := g.disksOf(ctx, v)
	if err != nil {
		return err
	}
	for _, d := range disks {
		r, err := s.verifyDisk(ctx, d, report)
		if err != nil {
			return fmt.Errorf("disk %s: %w", d.Place, err)
		}
		out.Disks = append(out.Disks, r)
		out.Equal = out.Equal && r.Equal
	}
	return nil
}

// verifyVolume compares one volume with the head.
func (g *gateway) verifyVolume(ctx context.Context, v *intercept.Volume, report func(api.Progress)) (api.VerifyVolume, error) {
	out := api.VerifyVolume{Volume: v.Name()}
	blocks := (v.Size() + leaf.BlockSize - 1) / leaf.BlockSize
	suspects := []blockRange{{0, blocks}}
	for pass := range verifyPasses {
		point, err := g.sealedPoint(ctx)
		if err != nil {
			return out, err
		}
		out.Point = apiPoint(point)
		if pass == 0 {
			if err := g.compareStates(ctx, v, point, &out); err != nil {
				return out, err
			}
		}
		next, err := g.differing(ctx, v, point, suspects, &out, report)
		if err != nil {
			return out, err
		}
		suspects = next
		if len(suspects) == 0 {
			break
		}
	}
	for i, r := range suspects {
		if i == verifyRanges {
			break
		}
		out.Differ = append(out.Differ, api.Range{Off: r.first * leaf.BlockSize, Len: r.count * leaf.BlockSize})
	}
	out.Equal = len(suspects) == 0 && out.Error == ""
	return out, nil
}

// sealedPoint returns a committed point that holds everything written before the call.
func (g *gateway) sealedPoint(ctx context.Context) (ident.Point, error) {
	end, err := g.group.Seal(ctx, "")
	if err != nil {
		return ident.Point{}, fmt.Errorf("sealing: %w", err)
	}
	return g.committed(ctx, end, func(api.Progress) {})
}

// compareStates compares the state hashes that both sides keep for a point.
func (g *gateway) compareStates(ctx context.Context, v *intercept.Volume, point ident.Point, out *api.VerifyVolume) error {
	ledger := g.group.Ledger()
	state := ledger.States[v.ID()]
	out.Gateway = state.String()
	id := g.group.ID()
	r, err := g.system.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if err != nil {
		return clusterError(err)
	}
	for _, p := range r.GetPoints() {
		at, err := rpc.ToPoint(p.GetPoint())
		if err != nil || at != ledger.Committed {
			continue
		}
		for _, x := range p.GetVolumes() {
			if id := v.ID(); string(x.GetVolume()) != string(id.UUID[:]) {
				continue
			}
			out.Provider = append(out.Provider, fmt.Sprintf("%x", x.GetStateHash()))
			if want := state.Bytes(); string(x.GetStateHash()) != string(want[:]) {
				out.Error = "the state hash of the commit is not that of the gateway"
			}
		}
	}
	return nil
}

// blockRange is a run of leaf blocks.
type blockRange struct{ first, count int64 }

// differing returns the parts of ranges whose leaves differ between the volume as it is now and point. A part that the
// provider can not read for damage counts as differing; res says so.
func (g *gateway) differing(ctx context.Context, v *intercept.Volume, point ident.Point, ranges []blockRange,
	res *api.VerifyVolume, report func(api.Progress)) ([]blockRange, error) {
	var total, done int64
	for _, r := range ranges {
		total += r.count
	}
	var out []blockRange
	buf := make([]byte, verifyBlocks*leaf.BlockSize)
	for _, r := range ranges {
		for first := r.first; first < r.first+r.count; first += verifyBlocks {
			n := min(verifyBlocks, r.first+r.count-first)
			bad, err := g.compareLeaves(ctx, v, point, first, n, buf)
			if errors.Is(err, rpc.ErrDamaged) {
				res.Error = fmt.Sprintf("the provider's copy is damaged: %v", err)
				bad, err = []blockRange{{first, n}}, nil
			}
			if err != nil {
				return nil, err
			}
			out = append(out, bad...)
			done += n
			report(api.Progress{What: "comparing " + v.Name(), Done: done * leaf.BlockSize, Total: total * leaf.BlockSize, Unit: "bytes"})
		}
	}
	return out, nil
}

// compareLeaves compares count blocks from first on.
func (g *gateway) compareLeaves(ctx context.Context, v *intercept.Volume, point ident.Point, first, count int64, buf []byte) ([]blockRange, error) {
	id := v.ID()
	r, err := g.system.cluster.calls.Leaves(ctx, &rpc.LeavesRequest{Point: rpc.FromPoint(point), Volume: id.UUID[:], First: uint64(first), Count: uint32(count), Read: true})
	if err != nil {
		return nil, clusterError(err)
	}
	if int64(len(r.GetLeaves())) != 8*count {
		return nil, fmt.Errorf("provider sent %d bytes of leaves, want %d", len(r.GetLeaves()), 8*count)
	}
	off := first * leaf.BlockSize
	p := buf[:min(count*leaf.BlockSize, v.Size()-off)]
	if err := v.ReadAt(p, off); err != nil {
		return nil, fmt.Errorf("volume %s at %d: %w", v.Name(), off, err)
	}
	var out []blockRange
	for i := range count {
		b := p[i*leaf.BlockSize : min((i+1)*leaf.BlockSize, int64(len(p)))]
		if leaf.Of(b) == leaf.Leaf(binary.LittleEndian.Uint64(r.GetLeaves()[8*i:])) {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last].first+out[last].count == first+i {
			out[last].count++
		} else {
			out = append(out, blockRange{first + i, 1})
		}
	}
	return out, nil
}
