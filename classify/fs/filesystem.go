package fs

import "time"

// FileSystem is a file system found on a View. Offsets are those of the View it was opened on. Methods read the View
// when they are called, so they show the state that it shows then; they may be called from several goroutines if the
// View's ReadAt may. Errors are those of the View: what makes no sense is left out without one.
type FileSystem interface {
	// Kind is "ext4", "xfs" or "ntfs".
	Kind() string
	// Size is the number of bytes that it covers, from the start of its View.
	Size() int64
	// Regions reports where structures lie. A later report lies over an earlier one. fuel bounds the reads by which
	// directories and trees are found; what is beyond it is taken for data.
	Regions(fuel *Fuel, add func(off, n int64, kind Region)) error
	// Inodes calls visit for each inode in use, in the order of their numbers, until it returns false. The Inode is
	// the callee's to keep; its runs come in the order of the file.
	Inodes(visit func(*Inode) bool) error
	// Root is the number of the root directory.
	Root() uint64
	// Reserved reports whether an inode is part of the file system itself rather than somebody's file.
	Reserved(number uint64) bool
	// ReadDir calls visit for each name in a directory, itself and its parent excluded, until it returns false. The
	// name is valid during the call only.
	ReadDir(dir *Inode, visit func(name []byte, child uint64) bool) error
}

// Type is what kind of thing an inode is.
type Type uint8

// The types that matter to a report; devices, sockets and pipes are Other.
const (
	Other Type = iota
	File
	Dir
	Symlink
)

var typeNames = [...]string{"other", "file", "directory", "symlink"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "other"
}

// Inode is one file, directory or other object.
type Inode struct {
	Number     uint64
	Generation uint64 // differs when the number was given to a new object
	Type       Type
	Size       int64
	Links      uint32
	Modified   time.Time
	Record     Span   // where the inode itself lies
	Digest     uint64 // xxh3 of its record, to tell whether anything in it changed
	Runs       []Run  // its content
	Nodes      []Span // blocks that say where its content is
	Inline     []byte // content that lies within the record
	Partial    bool   // some of Runs is missing: too many, or damaged
}

// MaxRuns bounds the runs that one inode is read with; a file with more is marked Partial.
const MaxRuns = 1 << 20
