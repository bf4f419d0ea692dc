package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// ErrDamaged says that the index holds what it can not have been given.
var ErrDamaged = errors.New("snapshot index is damaged")

// Sizes of the unit of the index.
const (
	SlotBlocks = storepack.SlotBlocks
	SlotBytes  = storepack.SlotBytes
)

const slotVersion = 1

// Loc finds a block: block Block of the frame at Ref. The zero Loc is that of a block of zeroes.
type Loc struct {
	storepack.Ref
	Block uint8
}

// Block is one block of 4 KiB at one point. A block of zeroes is the zero Block.
type Block struct {
	Leaf  leaf.Leaf
	Loc   Loc
	Class classify.Class // of the change that brought it
}

// IsZero reports whether the block is all zero.
func (b *Block) IsZero() bool { return b.Leaf == 0 }

// Slot is 64 KiB of a volume at one point.
type Slot [SlotBlocks]Block

// Mask returns a bit for each block that is not zero.
func (s *Slot) Mask() uint16 {
	var m uint16
	for i := range s {
		if !s[i].IsZero() {
			m |= 1 << i
		}
	}
	return m
}

// follows reports whether b is in the same frame as a, right behind it, with the same class.
func (b *Block) follows(a *Block) bool {
	return b.Class == a.Class && b.Loc.Ref == a.Loc.Ref && b.Loc.Block == a.Loc.Block+1
}

// appendSlot appends the encoding of s to b.
func appendSlot(b []byte, s *Slot) []byte {
	b = append(b, slotVersion)
	mask := s.Mask()
	b = binary.LittleEndian.AppendUint16(b, mask)
	var blocks [SlotBlocks]*Block
	n := 0
	for m := mask; m != 0; m &= m - 1 {
		blocks[n] = &s[bits.TrailingZeros16(m)]
		n++
	}
	for i := 0; i < n; {
		run := 1
		for i+run < n && blocks[i+run].follows(blocks[i+run-1]) {
			run++
		}
		k := blocks[i]
		b = append(b, byte(run-1)|byte(k.Class)<<4, k.Loc.Block)
		b = binary.AppendUvarint(b, uint64(k.Loc.Pack))
		b = binary.AppendUvarint(b, uint64(k.Loc.At))
		b = binary.AppendUvarint(b, uint64(k.Loc.Len))
		i += run
	}
	for _, k := range blocks[:n] {
		b = binary.LittleEndian.AppendUint64(b, uint64(k.Leaf))
	}
	return b
}

// decodeSlot reads what appendSlot wrote into s.
func decodeSlot(b []byte, s *Slot) error {
	*s = Slot{}
	if len(b) < 3 {
		return fmt.Errorf("%w: slot of %d bytes", ErrDamaged, len(b))
	}
	if b[0] != slotVersion {
		return fmt.Errorf("%w: slot version %d, this build reads %d", ErrDamaged, b[0], slotVersion)
	}
	mask := binary.LittleEndian.Uint16(b[1:])
	b = b[3:]
	var err error
	for m := mask; m != 0; {
		if b, m, err = decodeRun(b, m, s); err != nil {
			return err
		}
	}
	if len(b) != 8*bits.OnesCount16(mask) {
		return fmt.Errorf("%w: slot has %d bytes of leaves for mask %04x", ErrDamaged, len(b), mask)
	}
	for m := mask; m != 0; m &= m - 1 {
		l := leaf.Leaf(binary.LittleEndian.Uint64(b))
		if l == 0 {
			return fmt.Errorf("%w: slot names a location for a block of zeroes", ErrDamaged)
		}
		s[bits.TrailingZeros16(m)].Leaf = l
		b = b[8:]
	}
	return nil
}

// decodeRun reads one run of locations for the lowest blocks of mask m, and returns what is left of both.
func decodeRun(b []byte, m uint16, s *Slot) ([]byte, uint16, error) {
	if len(b) < 2 {
		return nil, 0, fmt.Errorf("%w: run of a slot is cut off", ErrDamaged)
	}
	run, class, block := int(b[0]&15)+1, classify.Class(b[0]>>4), int(b[1])
	if class >= classify.NumClasses || run > bits.OnesCount16(m) || block+run > storepack.FrameBlocksMax {
		return nil, 0, fmt.Errorf("%w: run of %d blocks of class %d from block %d, mask %04x", ErrDamaged, run, class, block, m)
	}
	b = b[2:]
	var v [3]uint32
	for i := range v {
		x, k := binary.Uvarint(b)
		if k <= 0 || x > 1<<32-1 {
			return nil, 0, fmt.Errorf("%w: bad number in the run of a slot", ErrDamaged)
		}
		v[i], b = uint32(x), b[k:]
	}
	for i := range run {
		k := &s[bits.TrailingZeros16(m)]
		k.Class = class
		k.Loc = Loc{Ref: storepack.Ref{Pack: v[0], At: v[1], Len: v[2]}, Block: uint8(block + i)}
		m &= m - 1
	}
	return b, m, nil
}
