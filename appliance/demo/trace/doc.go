// Package trace keeps a sequence of writes to a block device in one small compressed file: the content of a real
// file-system image and what later work on it wrote, step by step.
//
// A trace is one zstd stream with a window of 64 MiB, so that a block that changes a little costs little. It holds:
//
//	magic    8 bytes "weirtrc1"
//	size     8 bytes, little-endian: bytes of the device
//	records  until the end, each:
//	  kind   1 byte: 'S' a step begins, 'W' a write
//	  off    8 bytes, little-endian: offset on the device; 0 for a step
//	  len    4 bytes, little-endian: bytes that follow, at most 1 MiB; for a step, its name
//	  data   len bytes
package trace
