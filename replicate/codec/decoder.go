package codec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// Target is what an epoch is decoded against, and where the result goes.
type Target struct {
	// Old is the content of a volume at the previous point, nil for a volume that the point lacks (it reads as zeroes).
	Old func(ident.VolumeID) View
	// Size is the size of a volume at the epoch's end, bytes; chunks beyond it are refused before any work. nil: not
	// known, chunks up to MaxOffset are taken.
	Size func(ident.VolumeID) int64
	// Emit gets the chunks in frame order, each after the digests of its base and its result were checked. An error
	// ends the decoding.
	Emit func(Chunk) error
	// Leaf, if not nil, is told before Emit of each leaf block that chunks touch, in order: its index, and its leaf
	// before and after. So the state hash needs no second look at the content.
	Leaf func(v ident.VolumeID, index uint64, before, after leaf.Leaf) error
}

// Packs returns a reader of the given packs, for Decode.
func Packs(packs ...[]byte) func(i int) ([]byte, error) {
	return func(i int) ([]byte, error) {
		if i >= len(packs) {
			return nil, io.EOF
		}
		return packs[i], nil
	}
}

// Decode turns the wire packs of one epoch back into what changed. read returns the pack of index i, in the order in
// which the Encoder put them, and io.EOF behind the last one. The bytes of a pack must not change until the next read.
//
// Nothing is emitted of a segment (at most 1 MiB of content, 64 MiB of zeroes) whose base or result digest differs:
// a *BaseMismatchError says that the old content is not what the epoch was encoded against, ErrCorrupt that the packs
// make no sense. Memory is bounded by two packs and MaxColumnBytes, whatever they hold, and work by the sizes of the
// volumes where Target.Size is given.
func Decode(ctx context.Context, read func(i int) ([]byte, error), to Target) error {
	d := decoders.Get().(*decoder)
	defer func() {
		d.start(Target{})
		decoders.Put(d)
	}()
	d.start(to)
	for i := 0; ; i++ {
		b, err := read(i)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pack %d of the epoch: %w", i, err)
		}
		if err := d.pack(ctx, b); err != nil {
			return fmt.Errorf("pack %d of the epoch: %w", i, err)
		}
	}
}

// decoder is the state of decoding one epoch.
type decoder struct {
	to      Target
	table   []ident.VolumeID
	views   []View // by volume number, filled when first needed
	viewed  []bool
	frame   frameReader
	scratch []byte

	pass, volume int   // of the last chunk in the epoch
	end          int64 // of the last chunk, bytes
	gapFrom      int64 // what the next gap counts from: end, or 0 in a new frame

	chunks   []decoded
	old, new []byte // leaf blocks of the segment's data chunks, one after the other
	touched  int64
	zeroed   int64
	leaves   []leafPair
	base     []byte
	after    []byte
	sources  []sourceRange
	made     results
	near     sourceCache
	inner    innerDecoder
}

// decoded is a chunk of the segment that is being decoded; its leaf blocks begin at at in old and new.
type decoded struct {
	chunk Chunk
	at    int
}

type leafPair struct {
	index         uint64
	before, after leaf.Leaf
}

// sourceRange is where a displaced copy of the segment came from.
type sourceRange struct {
	volume   int
	off, len int64
}

// decoders keep the memory of epochs that were decoded, some MiB, for the next ones.
var decoders = sync.Pool{New: func() any { return &decoder{} }}

// start begins another epoch and keeps the memory.
func (d *decoder) start(to Target) {
	d.to, d.table, d.views, d.viewed = to, d.table[:0], d.views[:0], d.viewed[:0]
	d.pass, d.volume, d.end, d.gapFrom = 0, -1, 0, 0
	d.frame = frameReader{}
	d.made.reset()
	d.near.reset()
}

// pack decodes all frames of one pack.
func (d *decoder) pack(ctx context.Context, b []byte) error {
	kind, err := pack.KindOf(b)
	if err != nil {
		return err
	}
	if kind != pack.Wire {
		return corrupt("a %v pack", kind)
	}
	return pack.Frames(b, func(f pack.Frame) error {
		if f.Type < oldestFrameType || f.Type > FrameType {
			return fmt.Errorf("%w: frame type %d at %d, this build reads %d to %d", ErrVersion, f.Type, f.At, oldestFrameType, FrameType)
		}
		if err := d.frameOf(ctx, f.Type, f.Payload); err != nil {
			return fmt.Errorf("frame at %d: %w", f.At, err)
		}
		return nil
	})
}

// frameOf decodes one frame.
func (d *decoder) frameOf(ctx context.Context, frameType uint8, payload []byte) (err error) {
	if d.table, d.scratch, err = d.frame.open(payload, frameType, d.table, d.scratch); err != nil {
		return err
	}
	d.gapFrom = 0
	last := -1
	for range d.frame.segments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if last, err = d.segment(last); err != nil {
			return err
		}
	}
	if err := d.notices(); err != nil {
		return err
	}
	for i, c := range d.frame.cols {
		if len(c) > 0 {
			return corrupt("%d bytes of column %d are left", len(c), i)
		}
	}
	return nil
}

// notices emits what the frame tells of unchanged content.
func (d *decoder) notices() error {
	for len(d.frame.cols[colNotices]) > 0 {
		var v [4]uint64
		for i := range v {
			var err error
			if v[i], err = d.frame.uvarint(colNotices); err != nil {
				return err
			}
		}
		if v[0] >= uint64(len(d.table)) || v[1] > MaxOffset || v[2] > MaxOffset || v[3] > MaxOffset/blockSize {
			return corrupt("notice of volume %d, %d bytes at %d", v[0], v[2], v[1])
		}
		c := Chunk{Volume: d.table[v[0]], Off: int64(v[1]), Len: int64(v[2]), Class: classify.ZeroBlock, Unchanged: true,
			Blocks: int64(v[3])}
		if err := d.to.Emit(c); err != nil {
			return err
		}
	}
	return nil
}
