package clone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/ident"
)

// ErrDamaged says that the files of a clone hold what they can not have been given.
var ErrDamaged = errors.New("clone is damaged")

// Layout of a map; docs/format-clone.md has the tables.
const (
	mapMagic     = "WEIRCLM\x01"
	headerBytes  = 80
	recordBytes  = 24
	recordAlign  = 8
	bodyBytesMax = 16 << 20

	recordRuns    = 1 // blocks that are in the data file for good
	recordData    = 2 // blocks that were written, with their checksums
	recordZero    = 3 // blocks that were made zero
	recordCommit  = 4 // what the records before an offset tell of is in the data file, durably
	recordDurable = 5 // the map is on stable storage up to an offset
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header begins a map.
type header struct {
	clone       ident.UUID
	volume      ident.VolumeID
	incarnation ident.UUID // of this file: records of another one never check
	size        int64      // bytes of the volume
}

// seed is what checksums of the file's records begin with.
func (h *header) seed() uint32 { return crc32.Checksum(h.incarnation[:], castagnoli) }

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headerBytes), mapMagic...)
	b = binary.LittleEndian.AppendUint32(b, BlockBytes)
	b = append(b, h.clone[:]...)
	b = append(b, h.volume.UUID[:]...)
	b = append(b, h.incarnation[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.size))
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHeader(b []byte) (*header, error) {
	if len(b) < headerBytes || string(b[:8]) != mapMagic {
		return nil, fmt.Errorf("%w: map begins with %.8q, want %q", ErrDamaged, b, mapMagic)
	}
	if got, want := crc32.Checksum(b[:headerBytes-4], castagnoli), binary.LittleEndian.Uint32(b[headerBytes-4:]); got != want {
		return nil, fmt.Errorf("%w: header of a map has checksum %08x, want %08x", ErrDamaged, got, want)
	}
	if n := binary.LittleEndian.Uint32(b[8:]); n != BlockBytes {
		return nil, fmt.Errorf("%w: map has blocks of %d bytes, this build reads %d", ErrDamaged, n, BlockBytes)
	}
	h := &header{size: int64(binary.LittleEndian.Uint64(b[60:]))}
	copy(h.clone[:], b[12:])
	copy(h.volume.UUID[:], b[28:])
	copy(h.incarnation[:], b[44:])
	if h.size < 0 || h.size > sizeMax {
		return nil, fmt.Errorf("%w: map of a volume of %d bytes", ErrDamaged, h.size)
	}
	return h, nil
}

// record is one entry of a map.
type record struct {
	kind  byte
	first uint64 // block, or offset
	body  []byte
}

// appendRecord appends the encoding of r, which will stand at offset at of a file with the seed.
func appendRecord(b []byte, seed uint32, at int64, r record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, r.kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, r.first)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.body)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, r.body...)
	for (len(b)-start)%recordAlign != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[start:], recordSum(b[start+4:], seed, at))
	return b
}

func recordSum(b []byte, seed uint32, at int64) uint32 {
	var where [8]byte
	binary.LittleEndian.PutUint64(where[:], uint64(at))
	return crc32.Update(crc32.Update(seed, castagnoli, where[:]), castagnoli, b)
}

// parseRecord reads the record at the start of b and returns its length. ok is false where none checks.
func parseRecord(b []byte, seed uint32, at int64) (r record, n int, ok bool) {
	if len(b) < recordBytes {
		return r, 0, false
	}
	body := int(binary.LittleEndian.Uint32(b[16:]))
	n = recordBytes + (body+recordAlign-1)/recordAlign*recordAlign
	if body > bodyBytesMax || n > len(b) || recordSum(b[4:n], seed, at) != binary.LittleEndian.Uint32(b) {
		return r, 0, false
	}
	return record{kind: b[4], first: binary.LittleEndian.Uint64(b[8:]), body: b[recordBytes : recordBytes+body]}, n, true
}

// dataRecord tells of the blocks of p, of which the last may be short, from block first on.
func dataRecord(first uint64, p []byte) record {
	body := make([]byte, 0, 4*((len(p)+BlockBytes-1)/BlockBytes))
	for len(p) > 0 {
		n := min(len(p), BlockBytes)
		body = binary.LittleEndian.AppendUint32(body, crc32.Checksum(p[:n], castagnoli))
		p = p[n:]
	}
	return record{kind: recordData, first: first, body: body}
}

func zeroRecord(first, count uint64) record {
	return record{kind: recordZero, first: first, body: binary.LittleEndian.AppendUint64(nil, count)}
}

// runsBytes is about how long the body of one record of runs gets.
const runsBytes = 256 << 10

// appendCheckpoint appends records that tell of all blocks of set, and that they are durable. b is the file so far.
func appendCheckpoint(b []byte, seed uint32, set *roaring64.Bitmap) []byte {
	var body []byte
	first, last := uint64(0), uint64(0) // of the body; end of its last run
	put := func() {
		if len(body) > 0 {
			b = appendRecord(b, seed, int64(len(b)), record{kind: recordRuns, first: first, body: body})
			body = nil
		}
	}
	eachRun(set, func(at, count uint64) {
		if len(body) >= runsBytes {
			put()
		}
		if len(body) == 0 {
			first, last = at, at
		}
		body = binary.AppendUvarint(binary.AppendUvarint(body, at-last), count)
		last = at + count
	})
	put()
	b = appendRecord(b, seed, int64(len(b)), record{kind: recordCommit, first: uint64(len(b))})
	return appendRecord(b, seed, int64(len(b)), record{kind: recordDurable, first: uint64(len(b))})
}

// eachRun calls f with the runs of set in order.
func eachRun(set *roaring64.Bitmap, f func(first, count uint64)) {
	first, count := uint64(0), uint64(0)
	for it := set.Iterator(); it.HasNext(); {
		b := it.Next()
		if count > 0 && b == first+count {
			count++
			continue
		}
		if count > 0 {
			f(first, count)
		}
		first, count = b, 1
	}
	if count > 0 {
		f(first, count)
	}
}
