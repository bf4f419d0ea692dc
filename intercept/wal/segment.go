package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// Layout of a segment: a page of header, records, and a last page that is kept for the end record.
const (
	PageBytes   = 4096
	headerMagic = "WEIRLOG\x00"
	Version     = 1

	offHdrVersion     = 8
	offHdrCRC         = 12
	offHdrGroup       = 16
	offHdrNumber      = 32
	offHdrIncarnation = 40
	offHdrBytes       = 48
	offHdrSynced      = 56
)

// SegmentBytesMin is the smallest length of a segment that is accepted; lengths are multiples of PageBytes.
const SegmentBytesMin = 4 * PageBytes

// Pos is where a record begins: segment number × segment length + offset in the segment.
type Pos uint64

// Header is the first page of a segment.
type Header struct {
	Group       ident.GroupID
	Number      uint64 // of the segment; grows by one or more with each use of a file
	Incarnation uint64
	Bytes       int64     // length of the segment
	Synced      ident.Seq // a sequence that was synced when the segment was made ready
}

// Errors of the segment header.
var (
	ErrNotSegment = errors.New("not a segment of a write log")
	ErrVersion    = errors.New("written by a newer version of weir")
)

func (h *Header) encode() []byte {
	b := vfs.AlignedBuffer(PageBytes)
	le := binary.LittleEndian
	copy(b, headerMagic)
	le.PutUint32(b[offHdrVersion:], Version)
	copy(b[offHdrGroup:], h.Group.UUID[:])
	le.PutUint64(b[offHdrNumber:], h.Number)
	le.PutUint64(b[offHdrIncarnation:], h.Incarnation)
	le.PutUint64(b[offHdrBytes:], uint64(h.Bytes))
	le.PutUint64(b[offHdrSynced:], uint64(h.Synced))
	le.PutUint32(b[offHdrCRC:], headerCRC(b))
	return b
}

// headerCRC covers the whole page, the field itself taken as zero.
func headerCRC(b []byte) uint32 {
	c := crc32.Checksum(b[:offHdrCRC], castagnoli)
	c = crc32.Update(c, castagnoli, []byte{0, 0, 0, 0})
	return crc32.Update(c, castagnoli, b[offHdrCRC+4:PageBytes])
}

// DecodeHeader reads the first page of a segment.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < PageBytes || string(b[:len(headerMagic)]) != headerMagic {
		return Header{}, ErrNotSegment
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[offHdrVersion:]); v > Version {
		return Header{}, fmt.Errorf("%w: segment format %d, this one knows %d", ErrVersion, v, Version)
	}
	if want, got := le.Uint32(b[offHdrCRC:]), headerCRC(b); want != got {
		return Header{}, fmt.Errorf("%w: header checksum %08x, want %08x", ErrNotSegment, got, want)
	}
	h := Header{
		Number:      le.Uint64(b[offHdrNumber:]),
		Incarnation: le.Uint64(b[offHdrIncarnation:]),
		Bytes:       int64(le.Uint64(b[offHdrBytes:])),
		Synced:      ident.Seq(le.Uint64(b[offHdrSynced:])),
	}
	copy(h.Group.UUID[:], b[offHdrGroup:])
	if h.Bytes < SegmentBytesMin || h.Bytes%PageBytes != 0 {
		return Header{}, fmt.Errorf("%w: length %d", ErrNotSegment, h.Bytes)
	}
	return h, nil
}

// segment is a file of the log, in use as segment number.
type segment struct {
	Header
	file vfs.File
	name string
	seed uint32

	// last is the highest sequence reserved in the segment; guarded by Log.mu.
	last ident.Seq
}

// dataEnd is where records other than the end record must end.
func (h *Header) dataEnd() int64 { return h.Bytes - PageBytes }

func (s *segment) pos(off int64) Pos { return Pos(s.Number)*Pos(s.Bytes) + Pos(off) }
