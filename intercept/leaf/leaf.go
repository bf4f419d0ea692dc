package leaf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/zeebo/xxh3"
)

// BlockSize is the number of bytes that one leaf covers; the last block of a volume may be shorter.
const BlockSize = 4096

// ZeroPage is a block of zeroes, to compare with. It must not be written to.
var ZeroPage [BlockSize]byte

// Leaf is the hash of one block. Leaf 0 stands for a block that is all zero, of any length.
type Leaf uint64

// Of returns the leaf of block b, at most BlockSize bytes. A short block has the leaf of the same bytes with zeroes
// behind them, so that a volume can grow without a change of its leaves. A block that is not zero never has leaf 0.
func Of(b []byte) Leaf {
	if IsZero(b) {
		return 0
	}
	if len(b) < BlockSize {
		var whole [BlockSize]byte
		copy(whole[:], b)
		b = whole[:]
	}
	if h := xxh3.Hash(b); h != 0 {
		return Leaf(h)
	}
	return 1
}

// IsZero reports whether b, of any length, holds only zeroes.
func IsZero(b []byte) bool {
	for len(b) > BlockSize {
		if !bytes.Equal(b[:BlockSize], ZeroPage[:]) {
			return false
		}
		b = b[BlockSize:]
	}
	return bytes.Equal(b, ZeroPage[:len(b)])
}

// State is the state hash of a volume: a 128-bit number. The zero State is that of a volume of zeroes.
type State struct{ Hi, Lo uint64 }

// term is what block index of volume v adds to the state hash.
func term(v ident.VolumeID, index uint64, l Leaf) (hi, lo uint64) {
	if l == 0 {
		return 0, 0
	}
	var b [32]byte
	copy(b[:16], v.UUID[:])
	binary.LittleEndian.PutUint64(b[16:], index)
	binary.LittleEndian.PutUint64(b[24:], uint64(l))
	h := xxh3.Hash128(b[:])
	return h.Hi, h.Lo
}

// Replace returns s after block index (offset / BlockSize) of volume v changed from leaf before to leaf after.
func (s State) Replace(v ident.VolumeID, index uint64, before, after Leaf) State {
	if before == after {
		return s
	}
	hi, lo := term(v, index, before)
	var borrow, carry uint64
	s.Lo, borrow = bits.Sub64(s.Lo, lo, 0)
	s.Hi, _ = bits.Sub64(s.Hi, hi, borrow)
	hi, lo = term(v, index, after)
	s.Lo, carry = bits.Add64(s.Lo, lo, 0)
	s.Hi, _ = bits.Add64(s.Hi, hi, carry)
	return s
}

// Bytes returns s as 16 bytes, big-endian.
func (s State) Bytes() [16]byte {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.Hi)
	binary.BigEndian.PutUint64(b[8:], s.Lo)
	return b
}

// StateOf reads what Bytes wrote.
func StateOf(b [16]byte) State {
	return State{Hi: binary.BigEndian.Uint64(b[:8]), Lo: binary.BigEndian.Uint64(b[8:])}
}

func (s State) String() string {
	b := s.Bytes()
	return hex.EncodeToString(b[:])
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *State) UnmarshalText(t []byte) error {
	v, err := hex.DecodeString(string(t))
	if err != nil || len(v) != 16 {
		return fmt.Errorf("%q is not a state hash", t)
	}
	*s = StateOf([16]byte(v))
	return nil
}
