package storepack

import (
	"math/bits"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// Ref finds a frame: Len bytes at offset At of store pack Pack.
type Ref struct {
	Pack, At, Len uint32
}

// Block is one changed block of a slot.
type Block struct {
	Index uint8 // in its slot
	Class classify.Class
	Leaf  leaf.Leaf
	Data  []byte // at most leaf.BlockSize bytes; fewer are filled up with zeroes. Nil: the block became zero
}

// Placed says where the data blocks of a slot went: to frame number Frame of the batch, from block First on, in order.
type Placed struct {
	Frame int
	First uint8
}

// Builder encodes the changed blocks of one volume at one point as frames, for Store.Append. The blocks of a slot stay
// together, and as many neighbouring slots share a frame as fit. Not safe for concurrent use.
type Builder struct {
	head   Head
	data   []byte   // content of the frame being filled
	buf    []byte   // payload being encoded
	out    []byte   // encoded frames
	frames []*Frame // decoded frames, for the cache
	refs   []Ref    // where in out they are; Pack is unset
}

// Start begins a volume at a point. What was built before must have been taken by Reset or appended.
func (b *Builder) Start(volume uint32, point uint64) {
	b.cut()
	b.head.Volume, b.head.Point = volume, point
}

// Add adds the changed blocks of a slot, in order of Index. Slots are added in ascending order. The data is copied.
func (b *Builder) Add(slot uint64, blocks []Block) Placed {
	n := 0
	for i := range blocks {
		if blocks[i].Data != nil {
			n++
		}
	}
	if len(b.head.Blocks)+n > FrameBlocksMax || len(b.head.Slots) == FrameSlotsMax {
		b.cut()
	}
	c := SlotChange{Slot: slot}
	p := Placed{Frame: len(b.frames), First: uint8(len(b.head.Blocks))}
	for _, k := range blocks {
		if k.Data == nil {
			c.Zero |= 1 << k.Index
			continue
		}
		c.Data |= 1 << k.Index
		b.head.Blocks = append(b.head.Blocks, BlockHead{Class: k.Class, Leaf: k.Leaf})
		b.data = append(append(b.data, k.Data...), leaf.ZeroPage[len(k.Data):]...)
	}
	b.head.Slots = append(b.head.Slots, c)
	return p
}

// Record adds a frame of type TypePoint.
func (b *Builder) Record(payload []byte) {
	b.cut()
	b.append(TypePoint, payload)
	b.frames = append(b.frames, nil)
}

// Len is the size of the frames that are complete, in bytes. One more frame has at most FrameBytesMax.
func (b *Builder) Len() int { return len(b.out) }

// Empty reports whether nothing was added since Reset.
func (b *Builder) Empty() bool { return len(b.out) == 0 && len(b.head.Slots) == 0 }

// FrameBytesMax is a bound on the size of one frame of blocks.
const FrameBytesMax = pack.FrameHeadBytes + frameFixed + 3 + FrameSlotsMax*(10+4) + FrameBlocksMax*(blockHead+leaf.BlockSize)

// cut completes the frame being filled.
func (b *Builder) cut() {
	if len(b.head.Slots) == 0 {
		return
	}
	b.buf = b.head.append(b.buf[:0])
	at := len(b.buf)
	typ, packed := uint8(TypeZstd), false
	if len(b.data) > 0 {
		b.buf, packed = compress(b.buf, b.data)
	}
	if !packed {
		typ = TypeRaw
		b.buf = append(b.buf[:at], b.data...)
	}
	b.append(typ, b.buf)
	b.frames = append(b.frames, &Frame{Head: b.head, Data: b.data})
	b.head = Head{Volume: b.head.Volume, Point: b.head.Point}
	b.data = nil
}

func (b *Builder) append(typ uint8, payload []byte) {
	at := len(b.out)
	b.out = pack.AppendFrame(b.out, typ, payload)
	b.refs = append(b.refs, Ref{At: uint32(at), Len: uint32(len(b.out) - at)})
}

// Reset forgets everything that was added.
func (b *Builder) Reset() {
	b.out, b.frames, b.refs = b.out[:0], b.frames[:0], b.refs[:0]
	b.head.Slots, b.head.Blocks, b.data = nil, nil, nil
}

// DataBlocks returns the number of data blocks in s.
func (s SlotChange) DataBlocks() int { return bits.OnesCount16(s.Data) }
