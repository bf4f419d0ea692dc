package stamp

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// BlockSize is the size of a stamped block in bytes.
const BlockSize = 4096

// Layout of a stamped block, little-endian: magic 8, history 8, write 8, block 8, volume 4, CRC-32C 4 (over the whole
// block with this field zero), filler.
const (
	magic     = 0x504d41545352_4557
	offCRC    = 36
	headerLen = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ID numbers the writes of a history from 1. 0 stands for the initial content, all zeroes.
type ID uint64

// Place is a block of a volume.
type Place struct {
	Volume uint32
	Block  int64 // offset / BlockSize
}

func (p Place) String() string { return fmt.Sprintf("volume %d block %d", p.Volume, p.Block) }

// fill writes the stamp of write id at place into b. Part of the filler does not compress; how much depends on id, so
// that a workload holds blocks of every kind.
func fill(b []byte, history uint64, id ID, place Place) {
	clear(b)
	binary.LittleEndian.PutUint64(b[0:], magic)
	binary.LittleEndian.PutUint64(b[8:], history)
	binary.LittleEndian.PutUint64(b[16:], uint64(id))
	binary.LittleEndian.PutUint64(b[24:], uint64(place.Block))
	binary.LittleEndian.PutUint32(b[32:], place.Volume)
	x := history ^ uint64(id)*0x9e3779b97f4a7c15 ^ uint64(place.Block)<<20 | 1
	end := headerLen + int(id%5)*(BlockSize-headerLen)/4
	for i := headerLen; i+8 <= end; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	binary.LittleEndian.PutUint32(b[offCRC:], crc32.Checksum(b, castagnoli))
}

// read returns the write whose stamp b carries, or an error that says why b is not a whole block of this history at
// place. A block of zeroes has ID 0.
func read(b []byte, history uint64, place Place) (ID, error) {
	if isZero(b) {
		return 0, nil
	}
	if m := binary.LittleEndian.Uint64(b); m != magic {
		return 0, fmt.Errorf("%v: starts with %#x, not with a stamp", place, m)
	}
	crc := binary.LittleEndian.Uint32(b[offCRC:])
	sum := crc32.Update(0, castagnoli, b[:offCRC])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	if sum = crc32.Update(sum, castagnoli, b[offCRC+4:]); sum != crc {
		return 0, fmt.Errorf("%v: torn block: checksum %#08x, stamp says %#08x", place, sum, crc)
	}
	found := Place{binary.LittleEndian.Uint32(b[32:]), int64(binary.LittleEndian.Uint64(b[24:]))}
	if h := binary.LittleEndian.Uint64(b[8:]); h != history {
		return 0, fmt.Errorf("%v: stamp of another history %#x, want %#x", place, h, history)
	}
	if found != place {
		return 0, fmt.Errorf("%v: holds the stamp of %v", place, found)
	}
	return ID(binary.LittleEndian.Uint64(b[16:])), nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
