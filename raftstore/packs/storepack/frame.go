package storepack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
)

// Sizes and marks of the format, docs/format-store.md.
const (
	SlotBlocks     = 16                          // blocks of a slot
	SlotBytes      = SlotBlocks * leaf.BlockSize // 64 KiB of a volume, aligned
	FrameBlocksMax = 16                          // data blocks of a frame
	FrameSlotsMax  = 4096                        // slots that a frame mentions
	frameVersion   = 1
	frameFixed     = 13 // version, volume, point
	blockHead      = 9  // class, leaf
)

// Types of frames.
const (
	TypeRaw   = 1 // blocks as they are
	TypeZstd  = 2 // blocks compressed together
	TypePoint = 3 // record of a point whose blocks are all durable; index.Point
)

// What can be wrong with a frame.
var (
	ErrFrame   = errors.New("store frame is damaged")
	ErrVersion = errors.New("store frame is of an unsupported version")
)

// SlotChange says which blocks of a slot a frame brings. Bit i stands for block i of the slot.
type SlotChange struct {
	Slot uint64
	Data uint16 // blocks whose content is in the frame, in order
	Zero uint16 // blocks that became zero
}

// Head is what a frame says of itself.
type Head struct {
	Volume uint32 // number of the volume in this node's index
	Point  uint64 // number of the point in its group
	Slots  []SlotChange
	Blocks []BlockHead // one for each data bit of Slots, in order
}

// BlockHead describes one block of a frame.
type BlockHead struct {
	Class classify.Class
	Leaf  leaf.Leaf
}

func (h *Head) append(b []byte) []byte {
	b = append(b, frameVersion)
	b = binary.LittleEndian.AppendUint32(b, h.Volume)
	b = binary.LittleEndian.AppendUint64(b, h.Point)
	b = binary.AppendUvarint(b, uint64(len(h.Slots)))
	last := uint64(0)
	for _, s := range h.Slots {
		b = binary.AppendUvarint(b, s.Slot-last)
		b = binary.LittleEndian.AppendUint16(b, s.Data)
		b = binary.LittleEndian.AppendUint16(b, s.Zero)
		last = s.Slot
	}
	for _, k := range h.Blocks {
		b = append(b, byte(k.Class))
		b = binary.LittleEndian.AppendUint64(b, uint64(k.Leaf))
	}
	return b
}

// parse reads a head off b and returns what follows it. Slots and Blocks are reused.
func (h *Head) parse(b []byte) ([]byte, error) {
	if len(b) < frameFixed {
		return nil, fmt.Errorf("%w: head of %d bytes, want %d", ErrFrame, len(b), frameFixed)
	}
	if b[0] != frameVersion {
		return nil, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, b[0], frameVersion)
	}
	h.Volume = binary.LittleEndian.Uint32(b[1:])
	h.Point = binary.LittleEndian.Uint64(b[5:])
	b = b[frameFixed:]
	n, k := binary.Uvarint(b)
	if k <= 0 || n == 0 || n > FrameSlotsMax {
		return nil, fmt.Errorf("%w: %d slots, at most %d", ErrFrame, n, FrameSlotsMax)
	}
	b, err := h.parseSlots(b[k:], int(n))
	if err != nil {
		return nil, err
	}
	return h.parseBlocks(b)
}

func (h *Head) parseSlots(b []byte, n int) ([]byte, error) {
	h.Slots = h.Slots[:0]
	last := uint64(0)
	for i := range n {
		delta, k := binary.Uvarint(b)
		if k <= 0 || len(b) < k+4 {
			return nil, fmt.Errorf("%w: slot %d of %d is cut off", ErrFrame, i, n)
		}
		s := SlotChange{
			Slot: last + delta,
			Data: binary.LittleEndian.Uint16(b[k:]),
			Zero: binary.LittleEndian.Uint16(b[k+2:]),
		}
		if (i > 0 && s.Slot <= last) || s.Data&s.Zero != 0 || s.Data|s.Zero == 0 {
			return nil, fmt.Errorf("%w: slot %d after %d with data %04x, zero %04x", ErrFrame, s.Slot, last, s.Data, s.Zero)
		}
		last = s.Slot
		h.Slots = append(h.Slots, s)
		b = b[k+4:]
	}
	return b, nil
}

func (h *Head) parseBlocks(b []byte) ([]byte, error) {
	n := 0
	for _, s := range h.Slots {
		n += bits.OnesCount16(s.Data)
	}
	if n > FrameBlocksMax || len(b) < n*blockHead {
		return nil, fmt.Errorf("%w: %d blocks, at most %d, heads of %d bytes", ErrFrame, n, FrameBlocksMax, len(b))
	}
	h.Blocks = h.Blocks[:0]
	for range n {
		k := BlockHead{Class: classify.Class(b[0]), Leaf: leaf.Leaf(binary.LittleEndian.Uint64(b[1:]))}
		if k.Class >= classify.NumClasses {
			return nil, fmt.Errorf("%w: class %d", ErrFrame, b[0])
		}
		h.Blocks = append(h.Blocks, k)
		b = b[blockHead:]
	}
	return b, nil
}

// Frame is a decoded frame. It is immutable once decoded and may be shared.
type Frame struct {
	Head
	Data []byte // leaf.BlockSize bytes for each of Blocks; a short last block of a volume is filled up with zeroes
}

// Block returns block i of the frame, leaf.BlockSize bytes, not to be changed.
func (f *Frame) Block(i int) []byte { return f.Data[i*leaf.BlockSize : (i+1)*leaf.BlockSize] }

// DecodeFrame decodes the payload of a frame of the type. The result does not alias it. At most 64 KiB of content are
// allocated, whatever the payload says.
func DecodeFrame(typ uint8, payload []byte) (*Frame, error) {
	f := &Frame{}
	body, err := f.parse(payload)
	if err != nil {
		return nil, err
	}
	want := len(f.Blocks) * leaf.BlockSize
	switch typ {
	case TypeRaw:
		f.Data = append([]byte(nil), body...)
	case TypeZstd:
		if f.Data, err = decompress(body, want); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFrame, err)
		}
	default:
		return nil, fmt.Errorf("%w: type %d holds no blocks", ErrVersion, typ)
	}
	if len(f.Data) != want {
		return nil, fmt.Errorf("%w: %d bytes of content for %d blocks", ErrFrame, len(f.Data), len(f.Blocks))
	}
	return f, nil
}

// ParseHead returns what a frame with blocks says of itself, without its content.
func ParseHead(payload []byte) (Head, error) {
	var h Head
	_, err := h.parse(payload)
	return h, err
}
