package export

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// ErrMismatch says that what was read is not what the point was committed with. What was written is not to be used.
var ErrMismatch = errors.New("content does not have the state hash of the point")

// Range is a run of bytes.
type Range struct{ Off, Len int64 }

// Source is a volume at a point.
type Source interface {
	// Ranges tells which parts of the volume from off on are not zero, in address order, and up to where it tells.
	Ranges(ctx context.Context, off int64) (list []Range, next int64, err error)
	// Content streams n bytes from off on; the caller closes it.
	Content(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Volume is what is exported.
type Volume struct {
	ID    ident.VolumeID
	Size  int64      // bytes
	State leaf.State // in the commit of the point
}

// ParseVolume makes a Volume of its description in text.
func ParseVolume(id string, size int64, state string) (Volume, error) {
	v := Volume{Size: size}
	u, err := ident.ParseUUID(id)
	if err == nil {
		v.ID.UUID = u
		err = v.State.UnmarshalText([]byte(state))
	}
	if err != nil {
		return v, fmt.Errorf("volume to export: %w", err)
	}
	return v, nil
}

// Sink takes the content in address order, without the blocks that are zero.
type Sink interface {
	// WriteAt takes content; p is not kept.
	WriteAt(p []byte, off int64) (int, error)
	// Finish is called when all content was taken and is right; everything is on stable storage on return.
	Finish(size int64) error
}

// Run copies a volume to a sink. done, if not nil, is told how far it is. It returns ErrMismatch, without Finish, when the
// content is not that of the point.
func Run(ctx context.Context, src Source, v Volume, to Sink, done func(bytes int64)) error {
	x := &exporter{v: v, to: to, done: done, buf: make([]byte, 1<<20)}
	for off := int64(0); off < v.Size; {
		list, next, err := src.Ranges(ctx, off)
		if err != nil {
			return err
		}
		if next <= off {
			return fmt.Errorf("ranges from %d on end at %d", off, next)
		}
		for _, r := range list {
			if err := x.copy(ctx, src, r); err != nil {
				return err
			}
		}
		off = next
		x.report(off)
	}
	if x.state != v.State {
		return fmt.Errorf("%w: got %v, want %v", ErrMismatch, x.state, v.State)
	}
	return to.Finish(v.Size)
}

type exporter struct {
	v     Volume
	to    Sink
	done  func(int64)
	buf   []byte
	state leaf.State
	end   int64 // of the last range
}

func (x *exporter) report(at int64) {
	if x.done != nil {
		x.done(at)
	}
}

// copy takes one range over, widened to whole blocks.
func (x *exporter) copy(ctx context.Context, src Source, r Range) error {
	off := r.Off / leaf.BlockSize * leaf.BlockSize
	end := min((r.Off+r.Len+leaf.BlockSize-1)/leaf.BlockSize*leaf.BlockSize, x.v.Size)
	if off = max(off, x.end); off >= end {
		return nil
	}
	x.end = end
	rd, err := src.Content(ctx, off, end-off)
	if err != nil {
		return err
	}
	for off < end && err == nil {
		p := x.buf[:min(int64(len(x.buf)), end-off)]
		if _, err = io.ReadFull(rd, p); err != nil {
			err = fmt.Errorf("content at %d: %w", off, err)
			break
		}
		err = x.take(p, off)
		off += int64(len(p))
		x.report(off)
	}
	return errors.Join(err, rd.Close())
}

// take hashes blocks and writes the runs of those that are not zero.
func (x *exporter) take(p []byte, off int64) error {
	start := -1
	for at := 0; at < len(p); at += leaf.BlockSize {
		l := leaf.Of(p[at:min(at+leaf.BlockSize, len(p))])
		x.state = x.state.Replace(x.v.ID, uint64(off+int64(at))/leaf.BlockSize, 0, l)
		if l != 0 && start < 0 {
			start = at
		}
		if l == 0 && start >= 0 {
			if _, err := x.to.WriteAt(p[start:at], off+int64(start)); err != nil {
				return err
			}
			start = -1
		}
	}
	if start < 0 {
		return nil
	}
	_, err := x.to.WriteAt(p[start:], off+int64(start))
	return err
}
