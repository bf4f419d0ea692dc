package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/target"
)

// Steps in which a point is copied from a peer.
const (
	copyLeaves = 1 << 16 // blocks whose leaves are compared at a time: 256 MiB of a volume
	copyRange  = 1 << 30 // of a volume described at a time, bytes
	copyBytes  = 1 << 20 // content read at a time
)

// copyPoint takes in a point by comparing it, at a peer, with the newest point of this node: only blocks whose leaves
// differ are read. The points in between are never held here.
func (s *Set) copyPoint(ctx context.Context, t *turn, e Entry, p ident.Point, newest *held) (*held, error) {
	l, err := s.newLanding(e, p, newest, newest)
	if err != nil {
		return nil, err
	}
	for _, v := range l.order {
		if err = l.copyVolume(ctx, v); err != nil {
			err = fmt.Errorf("copy volume %s of point %v: %w", v.id, p, err)
			break
		}
	}
	if err == nil {
		err = l.write()
	}
	if err == nil {
		err = l.verify()
	}
	if err != nil {
		return nil, errors.Join(err, l.abort())
	}
	return l.commit(t)
}

func (l *landing) copyVolume(ctx context.Context, v *landVolume) error {
	for off := int64(0); off < v.size; off += copyRange {
		if err := l.copyRange(ctx, v, off, min(off+copyRange, v.size)); err != nil {
			return err
		}
	}
	return nil
}

func (l *landing) copyRange(ctx context.Context, v *landVolume, off, end int64) error {
	extents, err := l.s.opt.Peer.Extents(ctx, l.point, v.id, off, end-off)
	if err != nil {
		return err
	}
	for _, x := range extents {
		if x.Off != off || x.Len <= 0 || x.Len > end-off {
			return fmt.Errorf("%w: extent %d+%d, expected from %d up to %d", target.ErrOutOfRange, x.Off, x.Len, off, end)
		}
		off += x.Len
		if x.Kind != target.Data {
			err = l.emit(codec.Chunk{Volume: v.id, Off: x.Off, Len: x.Len, Zero: true})
		} else {
			err = l.copyExtent(ctx, v, x)
		}
		if err != nil {
			return err
		}
	}
	if off != end {
		return fmt.Errorf("%w: extents end at %d, not %d", target.ErrOutOfRange, off, end)
	}
	return nil
}

// copyExtent compares the blocks that an extent touches.
func (l *landing) copyExtent(ctx context.Context, v *landVolume, x target.Extent) error {
	first, last := uint64(x.Off/leaf.BlockSize), blockCount(x.Off+x.Len)
	for first < last {
		n := int(min(last-first, copyLeaves))
		theirs, err := l.s.opt.Peer.Leaves(ctx, l.point, v.id, first, n)
		if err != nil {
			return err
		}
		if len(theirs) != n {
			return fmt.Errorf("%w: %d leaves, asked for %d", target.ErrOutOfRange, len(theirs), n)
		}
		if err := l.copyDiffering(ctx, v, first, theirs); err != nil {
			return err
		}
		first += uint64(n)
	}
	return nil
}

// copyDiffering reads the runs of blocks whose leaves are not the ones that this node has.
func (l *landing) copyDiffering(ctx context.Context, v *landVolume, first uint64, theirs []leaf.Leaf) error {
	mine, err := l.mine(v, first, len(theirs))
	if err != nil {
		return err
	}
	for i := 0; i < len(theirs); {
		if theirs[i] == mine[i] {
			i++
			continue
		}
		n := 1
		for i+n < len(theirs) && theirs[i+n] != mine[i+n] && n < copyBytes/leaf.BlockSize {
			n++
		}
		if err := l.copyRun(ctx, v, first+uint64(i), theirs[i:i+n]); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// mine returns this node's leaves, as if the volume had its new size.
func (l *landing) mine(v *landVolume, first uint64, n int) ([]leaf.Leaf, error) {
	out := make([]leaf.Leaf, n)
	if v.old == nil {
		return out, nil
	}
	have := blockCount(v.oldSize)
	if v.size != v.oldSize && v.oldSize%leaf.BlockSize != 0 {
		have-- // the leaf of the short last block does not stand for the same bytes any more
	}
	if first >= have {
		return out, nil
	}
	known := make([]index.Block, min(uint64(n), have-first))
	err := v.old.leaves(first, known)
	for i := range known {
		out[i] = known[i].Leaf
	}
	return out, err
}

// copyRun reads a run of blocks and takes it in if it has the leaves that the peer told.
func (l *landing) copyRun(ctx context.Context, v *landVolume, first uint64, theirs []leaf.Leaf) error {
	off := int64(first) * leaf.BlockSize
	n := min(int64(len(theirs))*leaf.BlockSize, v.size-off)
	b, err := l.s.opt.Peer.ReadPoint(ctx, l.point, v.id, off, int(n))
	if err != nil {
		return err
	}
	if int64(len(b)) != n {
		return fmt.Errorf("%w: %d bytes at %d, asked for %d", target.ErrOutOfRange, len(b), off, n)
	}
	for i, want := range theirs {
		at := i * leaf.BlockSize
		if got := leaf.Of(b[at:min(at+leaf.BlockSize, len(b))]); got != want {
			return medium(off+int64(at), leaf.BlockSize, fmt.Errorf("peer sent leaf %016x, told %016x", uint64(got), uint64(want)))
		}
	}
	return l.emit(codec.Chunk{Volume: v.id, Off: off, Len: n, Class: classify.LargeData, Data: b})
}
