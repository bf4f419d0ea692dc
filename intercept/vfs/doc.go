// Package vfs is the narrow set of file operations that the write path is built on, so that the same code runs on the
// operating system (OS) and on a file system in memory (Mem) that can lose power and fail at any chosen operation.
//
// The operations say what the write path relies on: positioned reads and writes, fdatasync, and a directory sync that
// makes creation, renaming and removal of names durable. Nothing else is assumed of a disk; docs/format-write-log.md
// lists the assumptions.
package vfs
