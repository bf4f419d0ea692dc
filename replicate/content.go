package replicate

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/rpc"
)

// Content is how the content of points is read from the provider. Every call blocks until it is answered or ctx ends.
// Safe for concurrent use.
type Content interface {
	// Leaves returns count leaves of a volume at a point, from block first on; ranges must lie within the volume.
	Leaves(ctx context.Context, p ident.Point, v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error)

	// ReadPoint returns n bytes of a volume at a point, at most readBytesMax.
	ReadPoint(ctx context.Context, p ident.Point, v ident.VolumeID, off int64, n int) ([]byte, error)

	// Keep makes p, the newest point of its group, a named one, so that retention does not delete it. A point that has a
	// name keeps that.
	Keep(ctx context.Context, p ident.Point, name string) error
}

// How much is asked for at a time.
const (
	readBytesMax = 1 << 20
	leavesAtOnce = 1 << 14
)

var _ Content = (*Remote)(nil)

// Leaves implements Content.
func (r *Remote) Leaves(ctx context.Context, p ident.Point, v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error) {
	reply, err := r.calls.Leaves(ctx, &rpc.LeavesRequest{Point: rpc.FromPoint(p), Volume: v.UUID[:], First: first, Count: uint32(count)})
	if err != nil {
		return nil, fmt.Errorf("leaves of volume %s at block %d: %w", v, first, err)
	}
	b := reply.GetLeaves()
	if len(b) != 8*count {
		return nil, fmt.Errorf("%w: %d bytes for %d leaves of volume %s", rpc.ErrDamaged, len(b), count, v)
	}
	out := make([]leaf.Leaf, count)
	for i := range out {
		out[i] = leaf.Leaf(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out, nil
}

// ReadPoint implements Content.
func (r *Remote) ReadPoint(ctx context.Context, p ident.Point, v ident.VolumeID, off int64, n int) ([]byte, error) {
	reply, err := r.calls.ReadPoint(ctx, &rpc.ReadPointRequest{Point: rpc.FromPoint(p), Volume: v.UUID[:], Offset: off, Length: uint32(n)})
	if err != nil {
		return nil, fmt.Errorf("volume %s at %d+%d: %w", v, off, n, err)
	}
	if len(reply.GetData()) != n {
		return nil, fmt.Errorf("%w: %d bytes for %d of volume %s", rpc.ErrDamaged, len(reply.GetData()), n, v)
	}
	return reply.GetData(), nil
}

// Keep implements Content.
func (r *Remote) Keep(ctx context.Context, p ident.Point, name string) error {
	reply, err := r.calls.Points(ctx, &rpc.PointsRequest{Group: p.Group.UUID[:], Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for point %s: %w", p, err)
	}
	for _, known := range reply.GetPoints() {
		if at, err := rpc.ToPoint(known.GetPoint()); err == nil && at == p && known.GetName() != "" {
			return nil
		}
	}
	if _, err = r.calls.NamePoint(ctx, &rpc.NamePointRequest{Point: rpc.FromPoint(p), Name: name}); err != nil {
		return fmt.Errorf("keeping point %s: %w", p, err)
	}
	return nil
}

// remoteView is a View of a volume at a point of the provider. Behind size it yields zeroes.
type remoteView struct {
	ctx     context.Context // of the packaging that it is made for
	content Content
	point   ident.Point
	volume  ident.VolumeID
	size    int64 // bytes
}

func (v *remoteView) ReadAt(p []byte, off int64) error {
	n := max(0, min(int64(len(p)), v.size-off))
	clear(p[n:])
	for p = p[:n]; len(p) > 0; {
		step := min(len(p), readBytesMax)
		b, err := v.content.ReadPoint(v.ctx, v.point, v.volume, off, step)
		if err != nil {
			return err
		}
		copy(p, b)
		p, off = p[step:], off+int64(step)
	}
	return nil
}

// blocksOf is the number of leaves of a volume of size bytes.
func blocksOf(size int64) int64 { return (size + leaf.BlockSize - 1) / leaf.BlockSize }

// differences compares a volume with what the provider has at p, of size bytes there, by leaves, and returns the ranges
// that differ. Its memory does not depend on the size of the volume, beyond what differs.
func differences(ctx context.Context, c Content, p ident.Point, v *intercept.EpochVolume, size int64) ([]intercept.Extent, error) {
	var out []intercept.Extent
	buf := make([]byte, readBytesMax)
	for first, blocks := int64(0), blocksOf(v.Size); first < blocks; first += leavesAtOnce {
		n := min(leavesAtOnce, blocks-first)
		theirs := make([]leaf.Leaf, n)
		if there := min(n, blocksOf(size)-first); there > 0 {
			l, err := c.Leaves(ctx, p, v.ID, uint64(first), int(there))
			if err != nil {
				return nil, err
			}
			copy(theirs, l)
		}
		for at := first * leaf.BlockSize; at < min(v.Size, (first+n)*leaf.BlockSize); at += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			part := buf[:min(int64(len(buf)), v.Size-at, (first+n)*leaf.BlockSize-at)]
			if err := v.New.ReadAt(part, at); err != nil {
				return nil, err
			}
			out = differ(out, part, at, theirs[at/leaf.BlockSize-first:])
		}
	}
	return out, nil
}

// differ appends the blocks of b, which is at off, whose leaves are not those of theirs.
func differ(out []intercept.Extent, b []byte, off int64, theirs []leaf.Leaf) []intercept.Extent {
	for i := 0; i*leaf.BlockSize < len(b); i++ {
		block := b[i*leaf.BlockSize : min((i+1)*leaf.BlockSize, len(b))]
		l := leaf.Of(block)
		if l == theirs[i] {
			continue
		}
		x := intercept.Extent{Off: off + int64(i*leaf.BlockSize), Len: int64(len(block)), Zero: l == 0, Tag: unknownTag}
		if n := len(out); n > 0 && out[n-1].Off+out[n-1].Len == x.Off && out[n-1].Zero == x.Zero {
			out[n-1].Len += x.Len
			continue
		}
		out = append(out, x)
	}
	return out
}

// unknownTag says nothing of a write: nobody knows when and how it came.
var unknownTag = classify.MakeTag(classify.LargeData, classify.Unknown, false)
