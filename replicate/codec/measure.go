package codec

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
)

// Measurement is what it costs to send the difference between two images of a volume.
type Measurement struct {
	Changed    int64         `json:"changed_bytes"` // leaf blocks that differ, bytes
	Wire       int64         `json:"wire_bytes"`    // packs, envelope included
	Packs      int           `json:"packs"`
	Counts     ClassCounts   `json:"counts"`
	FileSystem string        `json:"file_system"` // as ReadMap names it
	Learn      time.Duration `json:"learn_ns"`    // reading the old image into the index
	Encode     time.Duration `json:"encode_ns"`   // decode-and-compare included
	Fixed      []FixedCost   `json:"fixed"`
}

// FixedCost is what sending whole blocks of one size would cost instead.
type FixedCost struct {
	BlockBytes int   `json:"block_bytes"`
	Raw        int64 `json:"raw_bytes"`
	Zstd       int64 `json:"zstd_bytes"` // each block compressed by itself
}

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
	m.Counts = sum.Volumes[0].Counts
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
			m.Fixed[i].add(a[:n], b[:n])
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

// add prices the blocks of new that differ from old.
func (f *FixedCost) add(old, new []byte) {
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
