package vfs

import "io"

// FS is a file system. Safe for concurrent use.
type FS interface {
	// MkdirAll makes dir and its parents; the names are durable after SyncDir of each parent.
	MkdirAll(dir string) error
	// Create makes a new empty file; fs.ErrExist when there is one.
	Create(name string) (File, error)
	// Open opens a file for reading and writing; fs.ErrNotExist when there is none.
	Open(name string) (File, error)
	// OpenDirect opens a file for reading what the disk holds, past the page cache. Offsets, lengths and buffers are
	// multiples of DirectAlign (AlignedBuffer makes such a buffer).
	OpenDirect(name string) (Reader, error)
	// Rename gives a file another name, replacing what has it.
	Rename(from, to string) error
	// Remove removes a name; fs.ErrNotExist when there is none.
	Remove(name string) error
	// List returns the names in dir, in no order.
	List(dir string) ([]string, error)
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
	// Link makes name stand for the file at path, which lies anywhere and is not touched; fs.ErrExist when there is one.
	// The name is durable after SyncDir. Remove removes the name alone.
	Link(path, name string) error
	// LinkedTo returns the path that Link gave name; "" when name is a file of its own or is not there.
	LinkedTo(name string) (string, error)
	// Claim opens an existing file or block device for reading and writing by this holder alone, until Close. ErrLocked,
	// with who has it as far as that can be told, while anybody else uses it; ErrKind when it is neither.
	Claim(name string) (File, error)
	// Identity is what tells a block device from all others, also after the machine has started anew; "" if there is nothing
	// that does. device is false, and id "", for a file.
	Identity(name string) (id string, device bool, err error)
	// Lock takes an exclusive lock named by a file, for the life of the process or until Close; ErrLocked when another
	// holder has it.
	Lock(name string) (io.Closer, error)
}

// Reader is an open file that is only read.
type Reader interface {
	io.ReaderAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
}

// File is an open file. Every method may be called from any number of goroutines. A method never keeps a slice.
type File interface {
	Reader
	io.WriterAt
	// ReadvAt fills bufs one after the other from off on; io.ErrUnexpectedEOF when the file ends before.
	ReadvAt(bufs [][]byte, off int64) error
	// WritevAt writes bufs one after the other at off.
	WritevAt(bufs [][]byte, off int64) error
	// Datasync makes content and length durable (fdatasync).
	Datasync() error
	// NextData returns the first offset from off on that may hold anything but zeroes; io.EOF when there is none.
	NextData(off int64) (int64, error)
	// NextHole returns the first offset from off on, which lies inside the file, that a hole or the end of the file has.
	// A file system that does not know of holes has them at the end only.
	NextHole(off int64) (int64, error)
	// Truncate sets the length.
	Truncate(size int64) error
	// Allocate reserves space for [off, off+n), which reads as zeroes where nothing was written, and makes the file at
	// least off+n long. An error that IsNoSpace recognises means that the disk is full.
	Allocate(off, n int64) error
	// Punch makes [off, off+n), which lies inside the file, read as zeroes and gives its space back where it can.
	Punch(off, n int64) error
	// StartWriteback asks for dirty pages of [off, off+n) to be written, without waiting and without durability.
	StartWriteback(off, n int64)
	// Drop says that cached pages of [off, off+n) will not be needed; n = 0 is the whole file.
	Drop(off, n int64)
}

// DirectAlign is the alignment of offsets, lengths and buffers for files opened with OpenDirect, in bytes.
const DirectAlign = 4096
