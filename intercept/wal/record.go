package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/weirstor/weir/intercept/ident"
)

// Kind says what a record records.
type Kind uint8

const (
	KindWrite Kind = 1 // payload is the new content of [Off, Off+Len) of Volume
	KindZero  Kind = 2 // [Off, Off+Len) of Volume reads as zeroes; no payload
	KindSeal  Kind = 3 // the epoch ends with this record; Aux is the time in ns since 1970, payload the point's name
	KindTable Kind = 4 // the volume table changes; payload is the change
	KindEnd   Kind = 5 // last record of its segment; Aux is the number of the next, Aux2 its incarnation
)

// Flags refine KindZero.
type Flags uint8

const (
	FlagTrim   Flags = 1 << iota // the range was discarded
	FlagNoHole                   // the range shall stay allocated
)

// Layout of a record; all integers are little-endian.
const (
	HeaderBytes  = 64
	PayloadBlock = 4096 // payload bytes that one checksum covers
	recordAlign  = 8

	offCRC     = 0
	offKind    = 4
	offFlags   = 5
	offTag     = 6
	offVolume  = 8
	offPayload = 12
	offSeq     = 16
	offSynced  = 24
	offOff     = 32
	offLen     = 40
	offAux     = 48
	offAux2    = 56
)

// Record is one entry of the log.
type Record struct {
	Kind    Kind
	Flags   Flags
	Tag     uint8
	Volume  uint32
	Off     int64 // bytes
	Len     int64 // bytes
	Aux     uint64
	Aux2    uint64
	Payload []byte

	// Set by Reserve, and by the reader.
	Seq    ident.Seq
	Synced ident.Seq
	Pos    Pos
}

// Errors of the record decoder.
var (
	errNoRecord = errors.New("no record here")
	errHeader   = errors.New("record header does not check")
	errPayload  = errors.New("record payload does not check")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf is the start value of all checksums of an incarnation.
func seedOf(incarnation uint64) uint32 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], incarnation)
	return crc32.Checksum(b[:], castagnoli)
}

func align(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }

// blocksOf is the number of payload checksums of n payload bytes.
func blocksOf(n int64) int64 { return (n + PayloadBlock - 1) / PayloadBlock }

// prefixBytes is the distance from a record's start to its payload of n bytes.
func prefixBytes(n int64) int64 { return HeaderBytes + align(4*blocksOf(n), recordAlign) }

// RecordBytes is the room that a record with n payload bytes takes in a segment.
func RecordBytes(n int64) int64 { return prefixBytes(n) + align(n, recordAlign) }

// appendPrefix appends header and payload checksums of r to dst.
func appendPrefix(dst []byte, r *Record, seed uint32) []byte {
	n := int64(len(r.Payload))
	start := len(dst)
	for range prefixBytes(n) / recordAlign {
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	h := dst[start:]
	le := binary.LittleEndian
	h[offKind], h[offFlags], h[offTag] = byte(r.Kind), byte(r.Flags), r.Tag
	le.PutUint32(h[offVolume:], r.Volume)
	le.PutUint32(h[offPayload:], uint32(n))
	le.PutUint64(h[offSeq:], uint64(r.Seq))
	le.PutUint64(h[offSynced:], uint64(r.Synced))
	le.PutUint64(h[offOff:], uint64(r.Off))
	le.PutUint64(h[offLen:], uint64(r.Len))
	le.PutUint64(h[offAux:], r.Aux)
	le.PutUint64(h[offAux2:], r.Aux2)
	for i, p := 0, r.Payload; len(p) > 0; i++ {
		step := min(len(p), PayloadBlock)
		le.PutUint32(h[HeaderBytes+4*i:], crc32.Update(seed, castagnoli, p[:step]))
		p = p[step:]
	}
	le.PutUint32(h[offCRC:], crc32.Update(seed, castagnoli, h[offKind:]))
	return dst
}

// decodeHeader reads the header at the start of b, which ends where the segment does. It checks the header but not the
// payload; total is the room that the record takes.
func decodeHeader(b []byte, seed uint32) (r Record, total int64, err error) {
	if len(b) < HeaderBytes || b[offKind] == 0 {
		return Record{}, 0, errNoRecord
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(b[offPayload:]))
	total = RecordBytes(n)
	if total > int64(len(b)) {
		return Record{}, 0, fmt.Errorf("%w: it claims %d bytes, %d are left", errHeader, total, len(b))
	}
	want, got := le.Uint32(b[offCRC:]), crc32.Update(seed, castagnoli, b[offKind:prefixBytes(n)])
	if want != got {
		return Record{}, 0, fmt.Errorf("%w: checksum %08x, want %08x", errHeader, got, want)
	}
	r = Record{
		Kind: Kind(b[offKind]), Flags: Flags(b[offFlags]), Tag: b[offTag],
		Volume: le.Uint32(b[offVolume:]),
		Seq:    ident.Seq(le.Uint64(b[offSeq:])), Synced: ident.Seq(le.Uint64(b[offSynced:])),
		Off: int64(le.Uint64(b[offOff:])), Len: int64(le.Uint64(b[offLen:])),
		Aux: le.Uint64(b[offAux:]), Aux2: le.Uint64(b[offAux2:]),
	}
	if !r.valid(n) {
		return Record{}, 0, fmt.Errorf("%w: kind %d, range %d+%d, payload %d", errHeader, r.Kind, r.Off, r.Len, n)
	}
	r.Payload = b[prefixBytes(n) : prefixBytes(n)+n : prefixBytes(n)+n]
	return r, total, nil
}

// valid reports whether the fields of r, with n payload bytes, make sense together.
func (r *Record) valid(n int64) bool {
	switch r.Kind {
	case KindWrite:
		return n > 0 && r.Len == n && r.Off >= 0 && r.Off+r.Len > r.Off
	case KindZero:
		return n == 0 && r.Off >= 0 && r.Off+r.Len > r.Off
	case KindSeal, KindTable:
		return true
	case KindEnd:
		return n == 0
	}
	return false
}

// checkPayload compares the payload of r with the checksums in its prefix b.
func checkPayload(r *Record, b []byte, seed uint32) error {
	for i, p := 0, r.Payload; len(p) > 0; i++ {
		step := min(len(p), PayloadBlock)
		want := binary.LittleEndian.Uint32(b[HeaderBytes+4*i:])
		if got := crc32.Update(seed, castagnoli, p[:step]); got != want {
			return fmt.Errorf("%w: block %d has checksum %08x, want %08x", errPayload, i, got, want)
		}
		p = p[step:]
	}
	return nil
}

// decodeRecord is decodeHeader and checkPayload.
func decodeRecord(b []byte, seed uint32) (Record, int64, error) {
	r, total, err := decodeHeader(b, seed)
	if err == nil {
		err = checkPayload(&r, b, seed)
	}
	return r, total, err
}
