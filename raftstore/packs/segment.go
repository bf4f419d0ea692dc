package packs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/weirstor/weir/replicate/pack"
)

// Sizes and marks of a segment of the landing log, docs/format-store.md, section 1.1.
const (
	segmentVersion   = 1
	segmentHeadBytes = 64
	recordHeadBytes  = 64
	recordAlign      = 64
	segmentBytesMax  = 16 << 20
	landedBytesMax   = 128 << 10 // a larger pack gets a file of its own

	recordPack    = 1
	recordDeleted = 2
)

const (
	segmentMagic = "WEIRLAND"
	recordMagic  = 0x444e4c57 // "WLND"
)

// errSegment says that the head of a segment is not one.
var errSegment = errors.New("segment of the landing log is damaged")

// ErrVersion says that a later version of Weir has written here.
var ErrVersion = errors.New("pack store is of an unsupported version")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHead is the first thing in a segment.
type segmentHead struct {
	no          uint32
	incarnation uint64 // random; seeds the checksums of records, so that those of an earlier use never check
	before      uint32 // number of the segment that was written before this one; 0: none in the same run
	beforeEnd   uint32 // up to where that one was synced
}

func (h segmentHead) append(b []byte) []byte {
	at := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint32(b, h.no)
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	b = binary.LittleEndian.AppendUint32(b, h.before)
	b = binary.LittleEndian.AppendUint32(b, h.beforeEnd)
	b = append(b, make([]byte, segmentHeadBytes-4-(len(b)-at))...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func parseSegmentHead(b []byte, no uint32) (segmentHead, error) {
	if len(b) < segmentHeadBytes || string(b[:8]) != segmentMagic {
		return segmentHead{}, fmt.Errorf("%w: segment %d of %d bytes begins without its mark", errSegment, no, len(b))
	}
	sum := binary.LittleEndian.Uint32(b[segmentHeadBytes-4:])
	if got := crc32.Checksum(b[:segmentHeadBytes-4], castagnoli); got != sum {
		return segmentHead{}, fmt.Errorf("%w: segment %d: checksum of the head %08x, want %08x", errSegment, no, got, sum)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != segmentVersion {
		return segmentHead{}, fmt.Errorf("%w: landing log %d, this build reads %d", ErrVersion, v, segmentVersion)
	}
	h := segmentHead{
		no:          binary.LittleEndian.Uint32(b[12:]),
		incarnation: binary.LittleEndian.Uint64(b[16:]),
		before:      binary.LittleEndian.Uint32(b[24:]),
		beforeEnd:   binary.LittleEndian.Uint32(b[28:]),
	}
	if h.no != no {
		return h, fmt.Errorf("%w: segment %d says that it is %d", errSegment, no, h.no)
	}
	return h, nil
}

// seed is the checksum that those of a segment's records go on from.
func (h segmentHead) seed() uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, h.incarnation), castagnoli)
}

// record is a pack in a segment, or the note that one was deleted.
type record struct {
	kind   uint8
	id     pack.ID
	size   uint32 // of the pack; 0 for a deletion
	sum    uint32 // checksum of the pack's bytes
	synced uint32 // offset up to which the segment was on stable storage when this was written
	at     uint32 // offset of the record in its segment
	whole  bool   // the pack's bytes check
}

// space is what a record of a pack of size bytes takes.
func space(size int) int { return recordHeadBytes + (size+recordAlign-1)/recordAlign*recordAlign }

// appendRecord appends the record of the pack with the bytes data, nil for a deletion, filled up to the alignment.
func appendRecord(b []byte, seed uint32, r record, data []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = append(b, r.kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(seed, castagnoli, data))
	b = binary.LittleEndian.AppendUint32(b, r.synced)
	b = append(b, r.id[:]...)
	b = append(b, make([]byte, recordHeadBytes-4-(len(b)-at))...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Update(seed, castagnoli, b[at:]))
	b = append(b, data...)
	return append(b, make([]byte, space(len(data))-(len(b)-at))...)
}

// parseRecord reads the head of the record that b begins with; ok is false when there is none.
func parseRecord(b []byte, seed uint32) (r record, ok bool) {
	if len(b) < recordHeadBytes || binary.LittleEndian.Uint32(b) != recordMagic {
		return r, false
	}
	if crc32.Update(seed, castagnoli, b[:recordHeadBytes-4]) != binary.LittleEndian.Uint32(b[recordHeadBytes-4:]) {
		return r, false
	}
	r.kind = b[4]
	r.size = binary.LittleEndian.Uint32(b[8:])
	r.sum = binary.LittleEndian.Uint32(b[12:])
	r.synced = binary.LittleEndian.Uint32(b[16:])
	r.id = pack.ID(b[20:53])
	return r, r.size <= landedBytesMax && (r.kind == recordPack || r.kind == recordDeleted && r.size == 0)
}

// gap is a stretch of a segment in which no record was found.
type gap struct{ from, to uint32 }

// scan finds the records of a segment, b being all of it. What does not check is passed over: it was never synced, or
// it is damage, which a synced above it tells. Bytes behind the last record are no gap.
func scan(b []byte, h segmentHead) (records []record, gaps []gap, synced uint32) {
	seed := h.seed()
	end := segmentHeadBytes // of the last record
	for at := segmentHeadBytes; at+recordHeadBytes <= len(b); {
		r, ok := parseRecord(b[at:], seed)
		if !ok {
			at += recordAlign
			continue
		}
		if at > end {
			gaps = append(gaps, gap{uint32(end), uint32(at)})
		}
		r.at = uint32(at)
		data := b[at+recordHeadBytes:]
		r.whole = len(data) >= int(r.size) && crc32.Update(seed, castagnoli, data[:r.size]) == r.sum
		records = append(records, r)
		synced = max(synced, r.synced)
		at += space(int(r.size))
		end = at
	}
	return records, gaps, max(synced, uint32(segmentHeadBytes))
}
