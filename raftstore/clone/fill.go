package clone

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/target"
)

// Steps in which a clone is filled.
const (
	fillRange = 1 << 30   // of the base described at a time, bytes
	fillBytes = 1 << 20   // content read at a time
	fillFlush = 256 << 20 // content between two flushes, so that a fill that was cut off goes on near where it was
)

// Fill copies from the point what the overlay does not hold, while the volume is in use: what was written to the clone
// is never overwritten. On return without error everything is on stable storage in the volume's own disk or data file,
// which is a plain disk from then on, and the point is not read any more. A Fill that was ended by ctx or by a crash goes
// on where it was. done, if not nil, is told how many of the volume's bytes are settled.
func (d *Device) Fill(ctx context.Context, done func(bytes, size int64)) error {
	leave, err := d.enter(0, 0, true)
	if err != nil {
		return err
	}
	leave()
	f := filler{d: d, o: d.over, done: done}
	for off := int64(0); off < d.spec.Size; off += fillRange {
		if err := f.fill(ctx, off, min(off+fillRange, d.spec.Size)); err != nil {
			return fmt.Errorf("fill %s: %w", d.name, err)
		}
	}
	return d.Flush()
}

// Filled reports whether the overlay holds the whole volume, durably.
func (d *Device) Filled() bool { return d.over != nil && d.over.complete() }

type filler struct {
	d     *Device
	o     *overlay
	done  func(bytes, size int64)
	bytes int64 // since the last flush
}

// fill copies the absent parts of [off, end).
func (f *filler) fill(ctx context.Context, off, end int64) error {
	for off < end {
		first := uint64(off / BlockBytes)
		c, n := f.o.classify(first, uint64(end-1)/BlockBytes)
		stop := min(end, int64(first+n)*BlockBytes)
		if c == absent {
			if err := f.absent(ctx, off, stop); err != nil {
				return err
			}
		}
		off = stop
		if f.done != nil {
			f.done(off, f.d.spec.Size)
		}
	}
	return nil
}

// absent copies [off, end), all of which was absent a moment ago.
func (f *filler) absent(ctx context.Context, off, end int64) error {
	list, err := f.o.base.Extents(off, end-off)
	if err != nil {
		return err
	}
	for _, e := range list {
		for at := e.Off; at < e.Off+e.Len; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(e.Off+e.Len-at, fillBytes)
			if e.Kind != target.Data {
				n = min(e.Off+e.Len-at, zeroStep)
			}
			if err := f.step(at, n, e.Kind == target.Data); err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

// step copies whole blocks: of a base that describes parts of blocks, the block is copied with its first part.
func (f *filler) step(off, n int64, data bool) error {
	leave, err := f.d.enter(off, n, true)
	if err != nil {
		return err
	}
	defer leave()
	first := uint64(off / BlockBytes)
	count := blockCount(off+n) - first
	if off%BlockBytes != 0 || (off+n)%BlockBytes != 0 && off+n != f.o.size {
		data = true
	}
	if !data {
		err = f.o.fillZero(first, count)
	} else {
		err = f.o.fillData(first, count)
	}
	if f.bytes += n; err != nil || f.bytes < fillFlush {
		return err
	}
	f.bytes = 0
	return f.o.flush()
}

// fillData copies the blocks that are absent still. The base is read before any lock is taken.
func (o *overlay) fillData(first, count uint64) error {
	off := int64(first) * BlockBytes
	p := make([]byte, min(int64(count)*BlockBytes, o.size-off))
	if err := o.base.ReadAt(p, off); err != nil {
		return ioError("read", off, len(p), err)
	}
	return o.eachAbsent(first, count, func(b, n uint64) error {
		at := int64(b-first) * BlockBytes
		return o.install(absent, b, p[at:min(at+int64(n)*BlockBytes, int64(len(p)))])
	})
}

func (o *overlay) fillZero(first, count uint64) error {
	return o.eachAbsent(first, count, func(b, n uint64) error { return o.zeroRun(absent, b, n, false) })
}

// eachAbsent calls f with the runs of absent blocks while nobody else changes them.
func (o *overlay) eachAbsent(first, count uint64, f func(b, n uint64) error) error {
	last := first + count - 1
	defer o.rows.lock(first, last)()
	o.gate.RLock()
	defer o.gate.RUnlock()
	if err := o.latched(); err != nil {
		return err
	}
	for b := first; b <= last; {
		c, n := o.classify(b, last)
		if c == absent {
			if err := f(b, n); err != nil {
				return err
			}
		}
		b += n
	}
	return nil
}
