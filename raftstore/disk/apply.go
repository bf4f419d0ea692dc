package disk

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
)

// stepBlocks is how many blocks are read, compared or written at a time: 1 MiB.
const stepBlocks = 256

// plan is what has to be written to bring a disk to a point.
type plan struct {
	blocks    runs // all of them
	important runs // of them, those that hold metadata of a file system
	foreign   runs // blocks that are not what the disk should show
}

func (p *plan) add(block uint64, c classify.Class) {
	p.blocks.add(block)
	if c == classify.MetadataOnly {
		p.important.add(block)
	}
}

// apply brings a clean disk to a point.
func (d *Disk) apply(ctx context.Context, v Volume, to Content) error {
	from, err := d.shown(v)
	if errors.Is(err, ErrGone) {
		if d.spec.Policy == Refuse {
			return fmt.Errorf("%w: point %v, which it shows, is not held any more, so its content can not be checked; "+
				"policy resync or overwrite brings it on", ErrConflict, d.side.From.Point)
		}
		return d.resync(ctx, to)
	}
	if err != nil {
		return err
	}
	d.set(func(s *Status) { s.State, s.Target = Checking, to.Point() })
	p, err := d.difference(ctx, v, from, to)
	if err != nil {
		return err
	}
	if len(p.foreign) > 0 {
		if d.spec.Policy == Refuse {
			return d.conflict(d.side.From, p.foreign, "checked before an apply")
		}
		return d.resync(ctx, to)
	}
	return d.change(ctx, d.side.From, to, p)
}

// shown returns the content of the point that the disk shows; nil for nothing but zeroes.
func (d *Disk) shown(v Volume) (Content, error) {
	if d.side.From.Point.IsZero() {
		return nil, nil
	}
	return v.At(d.side.From.Point)
}

// difference finds the blocks in which two points differ and checks that the disk has there what from has.
func (d *Disk) difference(ctx context.Context, v Volume, from, to Content) (*plan, error) {
	p := &plan{}
	var was, is [stepBlocks]BlockInfo
	buf := make([]byte, stepBlocks*leaf.BlockSize)
	err := v.Changed(from, to, func(first, count uint64) error {
		return runs{{first, count}}.pieces(stepBlocks, func(first, count uint64) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := infos(from, first, was[:count]); err != nil {
				return err
			}
			if err := to.Blocks(first, is[:count]); err != nil {
				return err
			}
			return d.compare(p, from, to, first, was[:count], is[:count], buf)
		})
	})
	return p, err
}

func infos(c Content, first uint64, out []BlockInfo) error {
	if c == nil {
		clear(out)
		return nil
	}
	return c.Blocks(first, out)
}

// compare adds the blocks that differ to the plan, with what the disk has there.
func (d *Disk) compare(p *plan, from, to Content, first uint64, was, is []BlockInfo, buf []byte) error {
	size := int64(0)
	if from != nil {
		size = from.Size()
	}
	for i := 0; i < len(is); {
		if was[i].Leaf == is[i].Leaf {
			i++
			continue
		}
		n := 1
		for i+n < len(is) && was[i+n].Leaf != is[i+n].Leaf {
			n++
		}
		b := buf[:n*leaf.BlockSize]
		if err := d.backing.ReadAt(b, int64(first+uint64(i))*leaf.BlockSize); err != nil {
			return err
		}
		for j := i; j < i+n; j++ {
			block, data := first+uint64(j), b[(j-i)*leaf.BlockSize:(j-i+1)*leaf.BlockSize]
			p.add(block, is[j].Class)
			if got := leaf.Of(clip(data, block, size)); got != was[j].Leaf && leaf.Of(clip(data, block, to.Size())) != is[j].Leaf {
				p.foreign.add(block)
			}
		}
		i += n
	}
	return nil
}

// clip cuts the data of a block at the end of a volume of size bytes.
func clip(data []byte, block uint64, size int64) []byte {
	return data[:max(0, min(int64(len(data)), size-int64(block)*leaf.BlockSize))]
}

// change makes the planned changes: list durable, blocks, new point durable.
func (d *Disk) change(ctx context.Context, from mark, to Content, p *plan) error {
	d.set(func(s *Status) { s.State, s.Target = Applying, to.Point() })
	side := d.newSidecar(phaseApplying, from, markOf(to))
	side.Blocks = p.blocks
	if err := side.store(d.opt.FS, d.sidecarPath()); err != nil {
		return err
	}
	d.side = side
	return d.finish(ctx, to, p.important)
}

// finish writes the blocks of an applying sidecar, the important ones first, and makes the disk clean.
func (d *Disk) finish(ctx context.Context, to Content, important runs) error {
	if err := d.grow(to.Size()); err != nil {
		return err
	}
	for _, list := range []runs{important, d.side.Blocks} {
		if err := list.pieces(stepBlocks, func(first, count uint64) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return d.write(to, first, count)
		}); err != nil {
			return err
		}
	}
	if err := d.backing.Sync(); err != nil {
		return err
	}
	side := d.newSidecar(phaseClean, d.side.To, mark{})
	if err := side.store(d.opt.FS, d.sidecarPath()); err != nil {
		return err
	}
	d.side = side
	d.clean()
	return nil
}

// grow makes the disk as large as the volume. What lies behind the old size is not known and made zero.
func (d *Disk) grow(size int64) error {
	if err := d.backing.Grow(size); err != nil {
		return err
	}
	if old := d.side.From.Size; d.side.From.Known && old < size {
		return d.backing.Zero(old, size-old)
	}
	return nil
}

// write brings a run of at most stepBlocks blocks over from the store.
func (d *Disk) write(to Content, first, count uint64) error {
	off := int64(first) * leaf.BlockSize
	n := min(int64(count)*leaf.BlockSize, to.Size()-off)
	if n <= 0 {
		return nil
	}
	b := make([]byte, n)
	if err := to.ReadAt(b, off); err != nil {
		return err
	}
	for at := int64(0); at < n; {
		zero, k := stretch(b[at:])
		var err error
		if zero {
			err = d.backing.Zero(off+at, k)
		} else {
			err = d.backing.WriteAt(b[at:at+k], off+at)
		}
		if err != nil {
			return err
		}
		at += k
	}
	d.set(func(s *Status) { s.AppliedBytes += n })
	return nil
}

// stretch returns how far b goes on, by whole blocks, being zero or not being zero.
func stretch(b []byte) (zero bool, n int64) {
	zero = leaf.IsZero(b[:min(len(b), leaf.BlockSize)])
	for at := 0; at < len(b); at += leaf.BlockSize {
		end := min(len(b), at+leaf.BlockSize)
		if leaf.IsZero(b[at:end]) != zero {
			return zero, int64(at)
		}
	}
	return zero, int64(len(b))
}

// redo completes a change that a crash has cut off, by writing the listed blocks again whatever the disk has there. If
// the point that it was going to is gone, the blocks are written as newest has them, with those that newest has changed.
func (d *Disk) redo(ctx context.Context, v Volume, newest Content) error {
	d.set(func(s *Status) { s.State, s.Target = Applying, d.side.To.Point })
	to, err := v.At(d.side.To.Point)
	if err == nil {
		return d.finish(ctx, to, nil)
	}
	if !errors.Is(err, ErrGone) {
		return err
	}
	from, err := d.shown(v)
	if errors.Is(err, ErrGone) || !d.side.From.Known {
		if d.spec.Policy == Refuse {
			return fmt.Errorf("%w: it was left between points %v and %v, which are not held any more; policy resync or "+
				"overwrite brings it on", ErrConflict, d.side.From.Point, d.side.To.Point)
		}
		return d.resync(ctx, newest)
	}
	if err != nil {
		return err
	}
	p := &plan{blocks: d.side.Blocks}
	var further runs
	err = v.Changed(from, newest, func(first, count uint64) error {
		further = append(further, run{first, count})
		return nil
	})
	if err != nil {
		return err
	}
	p.blocks = p.blocks.union(further)
	return d.change(ctx, d.side.From, newest, p)
}
