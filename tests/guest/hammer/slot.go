package main

import "encoding/binary"

const (
	blockBytes = 4096
	slotBytes  = 64 << 10
	slotBlocks = slotBytes / blockBytes
)

// slot is what 64 KiB of the device have to hold: for each block the number of the write that it is of, or 0 for
// zeroes.
type slot struct {
	index int64
	stamp [slotBlocks]uint64
}

// fillBlock makes the block at byte off of write number stamp. Number 0 means zeroes.
func fillBlock(p []byte, off int64, stamp uint64) {
	if stamp == 0 {
		clear(p)
		return
	}
	word := stamp*0x9e3779b97f4a7c15 ^ uint64(off)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], word+uint64(i))
	}
}

// holds reports whether p is the block at byte off of write number stamp.
func holds(p []byte, off int64, stamp uint64) bool {
	word, step := stamp*0x9e3779b97f4a7c15^uint64(off), uint64(1)
	if stamp == 0 {
		word, step = 0, 0
	}
	for i := 0; i < len(p); i += 8 {
		if binary.LittleEndian.Uint64(p[i:]) != word+step*uint64(i) {
			return false
		}
	}
	return true
}

// set notes that blocks [from, to) are of write number stamp.
func (s *slot) set(from, to int, stamp uint64) {
	for i := from; i < to; i++ {
		s.stamp[i] = stamp
	}
}

// off returns where block i of the slot lies, in bytes.
func (s *slot) off(i int) int64 { return s.index*slotBytes + int64(i)*blockBytes }
