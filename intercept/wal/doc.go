// Package wal is the write log: append-only segments that hold a group's writes in order. It is the unit of local
// durability. docs/format-write-log.md is its specification.
//
// # Vocabulary
//
//	record     one entry: a header, one checksum per 4 KiB of payload, the payload
//	segment    a file of fixed length; written once with zeroes, then used, freed and used again
//	incarnation  random number of one use of a segment; it seeds every checksum, so that bytes of an earlier use never
//	           check in a later one
//	Pos        where a record begins: segment number × segment length + offset; grows with the order of writes, and so
//	           decides between overlapping writes
//	batch      records that are reserved and written together
//	watermark  sequence up to which every record is completely written
//	synced     sequence up to which every record is on stable storage
//	cut        where a recovery ended the log: the rest of that segment is not part of the log any more
//
// # A write
//
// Reserve fixes the order (it is the only moment that takes the lock for longer than a few instructions), Write copies
// header and payload to the page cache with one vectored write, Complete returns when the watermark has passed the
// batch, Sync makes it durable. A batch never shares a page of the cache with another one in flight, and fills its last
// page with zeroes, so the kernel never has to read a page of a recycled segment from the disk.
package wal
