package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Sizes and marks of the format, docs/format-pack.md.
const (
	MaxBytes        = 8 << 20 // a pack is never larger
	HeaderBytes     = 16
	FrameHeadBytes  = 12
	Version         = 1
	MaxPayloadBytes = MaxBytes - HeaderBytes - FrameHeadBytes // the largest frame payload
)

var magic = [8]byte{'W', 'E', 'I', 'R', 'P', 'A', 'C', 'K'}

// Kind is what a pack is used for.
type Kind uint8

const (
	Wire  Kind = 1 // encoded changes of one epoch, from gateway to provider
	Store Kind = 2 // the provider's own frames of volume content
)

func (k Kind) String() string {
	switch k {
	case Wire:
		return "wire"
	case Store:
		return "store"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// What can be wrong with a pack. Each is wrapped with the pack, the offset, got and want.
var (
	ErrCorrupt   = errors.New("pack is damaged")
	ErrVersion   = errors.New("pack is of an unsupported version")
	ErrTruncated = errors.New("pack is cut off")
	ErrFull      = errors.New("pack is full")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameSum is the CRC-32C of a frame: its type, its length and its payload.
func frameSum(head []byte, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[4:FrameHeadBytes], castagnoli), castagnoli, payload)
}

func putHeader(b []byte, kind Kind) {
	copy(b, magic[:])
	b[8] = Version
	b[9] = byte(kind)
	b[10], b[11] = 0, 0
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
}

func readHeader(b []byte) (Kind, error) {
	if len(b) < HeaderBytes {
		return 0, fmt.Errorf("%w: %d bytes, header has %d", ErrTruncated, len(b), HeaderBytes)
	}
	if [8]byte(b[:8]) != magic {
		return 0, fmt.Errorf("%w: magic is %q, want %q", ErrCorrupt, b[:8], magic[:])
	}
	if got, want := crc32.Checksum(b[:12], castagnoli), binary.LittleEndian.Uint32(b[12:]); got != want {
		return 0, fmt.Errorf("%w: header checksum is %08x, want %08x", ErrCorrupt, got, want)
	}
	if b[8] != Version {
		return 0, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, b[8], Version)
	}
	kind := Kind(b[9])
	if kind != Wire && kind != Store {
		return 0, fmt.Errorf("%w: unknown kind %d", ErrVersion, b[9])
	}
	return kind, nil
}
