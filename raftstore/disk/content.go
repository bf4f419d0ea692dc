package disk

import (
	"errors"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// ErrGone says that the node does not hold a point any more.
var ErrGone = errors.New("point is not held any more")

// Content is a volume at one point. Safe for concurrent use.
type Content interface {
	Point() ident.Point
	Number() uint64
	Size() int64 // bytes
	State() leaf.State

	// ReadAt fills p with the content at off; beyond Size it reads as zeroes.
	ReadAt(p []byte, off int64) error

	// Blocks sets out[i] to leaf and class of block first+i; beyond Size they are zero.
	Blocks(first uint64, out []BlockInfo) error
}

// BlockInfo is what is known of one block at a point.
type BlockInfo struct {
	Leaf  leaf.Leaf
	Class classify.Class // of the change that brought it
}

// Volume is the history of one volume, as far as its node holds it.
type Volume interface {
	// Newest returns the newest point of the volume and keeps it, and the points with the given numbers, from being
	// forgotten until the next call. It returns nil, nil when the volume is not part of the newest point.
	Newest(needs ...uint64) (Content, error)

	// At returns a point, or ErrGone.
	At(p ident.Point) (Content, error)

	// Changed calls f with runs of blocks, ascending, outside of which from and to are equal. With from nil they are
	// compared with zeroes.
	Changed(from, to Content, f func(first, count uint64) error) error
}

// Backing is what a disk is kept in.
type Backing interface {
	ReadAt(p []byte, off int64) error // fills p; beyond the end it reads as zeroes
	WriteAt(p []byte, off int64) error
	Zero(off, n int64) error // makes the range read as zeroes
	Sync() error             // everything written is on stable storage on return
	Close() error

	// Grow makes room for size bytes; the bytes that come into being read as zeroes, unless Grow found them there.
	Grow(size int64) error

	// Size is the size in bytes.
	Size() (int64, error)

	// Data returns the first range at or behind off that may hold anything but zeroes, and off < start ≤ end = size
	// where there is none.
	Data(off int64) (start, end int64, err error)
}

// OpenBackingFunc opens what a Spec names, for this process alone: ErrBusy when another one has it. created says that
// it did not exist before.
type OpenBackingFunc func(s Spec) (b Backing, created bool, err error)
