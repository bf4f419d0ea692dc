package codec

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/classify/trace"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
)

// Measurement is what it costs to send the difference between two images of a volume.
type Measurement struct {
	Changed    int64          `json:"changed_bytes"` // leaf blocks that differ, bytes
	Wire       int64          `json:"wire_bytes"`    // packs, envelope included
	Packs      int            `json:"packs"`
	Counts     ClassCounts    `json:"counts"`
	Encodings  EncodingCounts `json:"-"`
	FileSystem string         `json:"file_system"` // as ReadMap names it
	Learn      time.Duration  `json:"learn_ns"`    // reading the old image into the index
	Encode     time.Duration  `json:"encode_ns"`   // decode-and-compare included
	Fixed      []FixedCost    `json:"fixed"`
}

// FixedCost is what sending whole blocks of one size would cost instead.
type FixedCost = trace.Fixed

// fixedBlocks are the block sizes that Measure prices.
var fixedBlocks = []int{4 << 10, 64 << 10, 1 << 20}

// Measure encodes the difference between two images of size bytes as one epoch, as an Encoder that has seen all of the
// old image would, and throws the packs away. It reads both images once more than that takes.
func Measure(ctx context.Context, old, new View, size int64, opt Options) (Measurement, error) {
	var m Measurement
	for _, n := range fixedBlocks {
		m.Fixed = append(m.Fixed, FixedCost{BlockBytes: n})
	}
	extents, err := m.compare(ctx, old, new, size)
	if err != nil {
		return m, err
	}
	known, err := classify.ReadMap(new, size)
	if err != nil {
		return m, err
	}
	m.FileSystem = known.FileSystem()
	changes := []VolumeChange{{Volume: ident.VolumeID{UUID: ident.UUID{1}}, Size: size, Extents: extents, Old: old, New: new, Map: known}}
	e := NewEncoder(opt)
	begin := time.Now()
	if err := e.Prepare(ctx, changes); err != nil {
		return m, err
	}
	m.Learn = time.Since(begin)
	begin = time.Now()
	sum, err := e.Encode(ctx, changes, func(p pack.Pack) error {
		m.Wire += int64(len(p.Bytes))
		m.Packs++
		return nil
	})
	if err != nil {
		return m, err
	}
	m.Encode = time.Since(begin)
	m.Counts, m.Encodings = sum.Volumes[0].Counts, sum.Volumes[0].Encodings
	return m, nil
}

// compare finds the leaf blocks that differ and prices fixed blocks.
func (m *Measurement) compare(ctx context.Context, old, new View, size int64) (xs []Extent, err error) {
	a, b := make([]byte, windowBytes), make([]byte, windowBytes)
	for off := int64(0); off < size; off += windowBytes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(windowBytes, size-off)
		if err := old.ReadAt(a[:n], off); err != nil {
			return nil, fmt.Errorf("old image at %d: %w", off, err)
		}
		if err := new.ReadAt(b[:n], off); err != nil {
			return nil, fmt.Errorf("new image at %d: %w", off, err)
		}
		if bytes.Equal(a[:n], b[:n]) {
			continue
		}
		for i := range m.Fixed {
			addFixed(&m.Fixed[i], a[:n], b[:n])
		}
		for at := int64(0); at < n; at += blockSize {
			end := min(n, at+blockSize)
			if !bytes.Equal(a[at:end], b[at:end]) {
				xs = append(xs, Extent{Off: off + at, Len: end - at})
				m.Changed += end - at
			}
		}
	}
	return xs, nil
}

// addFixed prices the blocks of new that differ from old.
func addFixed(f *FixedCost, old, new []byte) {
	var out []byte
	for len(new) > 0 {
		n := min(len(new), f.BlockBytes)
		if !bytes.Equal(old[:n], new[:n]) {
			out = compressor(engine.SqueezeNormal).EncodeAll(new[:n], out[:0])
			f.Raw += int64(n)
			f.Zstd += int64(min(n, len(out)))
		}
		old, new = old[n:], new[n:]
	}
}

// PriceFixed tells what sending whole blocks of the usual sizes would cost for an epoch. It reads every MiB in which
// something was written, on both sides.
func PriceFixed(ctx context.Context, changes []VolumeChange) (e trace.Epoch, err error) {
	for _, n := range fixedBlocks {
		e.Fixed = append(e.Fixed, FixedCost{BlockBytes: n})
	}
	a, b := make([]byte, windowBytes), make([]byte, windowBytes)
	for i := range changes {
		c, done := &changes[i], int64(0) // content before it has been priced
		for _, x := range c.Extents {
			e.Host += blockCeil(x.Off+x.Len) - blockFloor(x.Off)
			for off := max(done, x.Off/windowBytes*windowBytes); off < x.Off+x.Len; off += windowBytes {
				if err := ctx.Err(); err != nil {
					return e, err
				}
				if err := readView(c.Old, a, c.Volume, off); err != nil {
					return e, err
				}
				if err := readView(c.New, b, c.Volume, off); err != nil {
					return e, err
				}
				n := min(windowBytes, c.Size-off)
				for k := range e.Fixed {
					addFixed(&e.Fixed[k], a[:n], b[:n])
				}
				done = off + windowBytes
			}
		}
	}
	e.Changed = e.Fixed[0].Raw
	return e, nil
}
