package todo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/weirstor/weir/intercept/ident"
)

// Layout of a file: a header, then the words of the map, little-endian.
const (
	magic       = "WEIRTODO"
	Version     = 1
	headerBytes = 64

	offVersion = 8
	offCRC     = 12 // CRC-32C of everything, this field taken as 0
	offSize    = 16
	offUnit    = 24
	offEnd     = 32
	offTotal   = 40
)

// Errors of the decoder.
var (
	ErrCorrupt = errors.New("map of what is to do does not check")
	ErrVersion = errors.New("map of what is to do written by a newer version of weir")
)

// Encode returns the file of m at the point that ends at end.
func (m *Map) Encode(end ident.Seq) []byte {
	b := make([]byte, headerBytes, headerBytes+8*len(m.words))
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint32(b[offVersion:], Version)
	le.PutUint64(b[offSize:], uint64(m.size))
	le.PutUint64(b[offUnit:], uint64(m.unit))
	le.PutUint64(b[offEnd:], uint64(end))
	le.PutUint64(b[offTotal:], uint64(m.total))
	for _, w := range m.words {
		b = le.AppendUint64(b, w)
	}
	le.PutUint32(b[offCRC:], checksum(b))
	return b
}

func checksum(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(crc32.Checksum(b[:offCRC], table), table, []byte{0, 0, 0, 0})
	return crc32.Update(c, table, b[offCRC+4:])
}

// Decode reads what Encode wrote.
func Decode(b []byte) (*Map, ident.Seq, error) {
	le := binary.LittleEndian
	if len(b) < headerBytes || string(b[:len(magic)]) != magic {
		return nil, 0, fmt.Errorf("%w: %d bytes, it begins with %q", ErrCorrupt, len(b), b[:min(len(b), len(magic))])
	}
	if v := le.Uint32(b[offVersion:]); v != Version {
		return nil, 0, fmt.Errorf("%w: format %d, this one knows %d", ErrVersion, v, Version)
	}
	if want, got := le.Uint32(b[offCRC:]), checksum(b); want != got {
		return nil, 0, fmt.Errorf("%w: checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	m := &Map{size: int64(le.Uint64(b[offSize:])), unit: int64(le.Uint64(b[offUnit:])), total: int64(le.Uint64(b[offTotal:]))}
	if m.size <= 0 || m.unit != unitFor(m.size) || int64(len(b)-headerBytes) != (m.units()+wordBits-1)/wordBits*8 {
		return nil, 0, fmt.Errorf("%w: volume of %d bytes in units of %d, %d bytes of map", ErrCorrupt, m.size, m.unit, len(b)-headerBytes)
	}
	for at := headerBytes; at < len(b); at += 8 {
		w := le.Uint64(b[at:])
		m.words = append(m.words, w)
		m.left += int64(bits.OnesCount64(w))
	}
	if m.total < m.Bytes() {
		return nil, 0, fmt.Errorf("%w: %d bytes to do of %d", ErrCorrupt, m.Bytes(), m.total)
	}
	if rest := m.units() % wordBits; rest != 0 && m.words[len(m.words)-1]>>rest != 0 {
		return nil, 0, fmt.Errorf("%w: a unit behind the end of the volume is to do", ErrCorrupt)
	}
	return m, ident.Seq(le.Uint64(b[offEnd:])), nil
}
