package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
)

// ErrGone: the segment that a position lies in is not part of the log any more.
var ErrGone = fmt.Errorf("log segment was recycled")

// readScratch is what one ReadPayload needs beside the caller's slice.
type readScratch struct {
	prefix []byte
	edge   []byte
	bufs   [2][]byte
}

var readPool = sync.Pool{New: func() any { return new(readScratch) }}

func grow(b []byte, n int64) []byte {
	if int64(cap(b)) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// ReadPayload fills p with payload bytes [delta, delta+len(p)) of the record at pos, whose payload has payload bytes,
// and checks them. The caller keeps the segment from being freed meanwhile.
func (l *Log) ReadPayload(p []byte, pos Pos, payload, delta int64) error {
	s := l.find(l.Segment(pos))
	if s == nil {
		return fmt.Errorf("%w: position %d", ErrGone, pos)
	}
	sc := readPool.Get().(*readScratch)
	defer readPool.Put(sc)
	off := int64(uint64(pos) % uint64(s.Bytes))
	first, end := delta/PayloadBlock, blocksOf(delta+int64(len(p)))
	from, to := first*PayloadBlock, min(end*PayloadBlock, payload)
	data := p
	if from != delta || to != delta+int64(len(p)) {
		sc.edge = grow(sc.edge, to-from)
		data = sc.edge
	}
	if err := l.readBlocks(sc, s, off, payload, first, data); err != nil {
		return fmt.Errorf("%s at %d: %w", s.name, off, err)
	}
	if &data[0] != &p[0] {
		copy(p, data[delta-from:])
	}
	return nil
}

// readBlocks fills data with whole checksummed blocks, the first of them being number first, of the record at off.
func (l *Log) readBlocks(sc *readScratch, s *segment, off, payload, first int64, data []byte) error {
	prefix := prefixBytes(payload)
	if first == 0 { // one call for prefix and payload
		sc.prefix = grow(sc.prefix, prefix)
		sc.bufs = [2][]byte{sc.prefix, data}
		err := s.file.ReadvAt(sc.bufs[:], off)
		sc.bufs = [2][]byte{}
		if err != nil {
			return err
		}
		return checkBlocks(sc.prefix[HeaderBytes:], data, s.seed)
	}
	sc.prefix = grow(sc.prefix, 4*blocksOf(int64(len(data))))
	if _, err := s.file.ReadAt(sc.prefix, off+HeaderBytes+4*first); err != nil {
		return err
	}
	if _, err := s.file.ReadAt(data, off+prefix+first*PayloadBlock); err != nil {
		return err
	}
	return checkBlocks(sc.prefix, data, s.seed)
}

// checkBlocks compares data with its checksums.
func checkBlocks(sums, data []byte, seed uint32) error {
	for len(data) > 0 {
		step := min(len(data), PayloadBlock)
		want := binary.LittleEndian.Uint32(sums)
		if got := crc32.Update(seed, castagnoli, data[:step]); got != want {
			return fmt.Errorf("%w: checksum %08x, want %08x", errPayload, got, want)
		}
		data, sums = data[step:], sums[4:]
	}
	return nil
}
