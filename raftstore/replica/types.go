package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/disk"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/target"
)

// What a caller may have to tell apart.
var (
	ErrNotIngested = errors.New("point is not held by this node")
	ErrNoVolume    = errors.New("volume is not part of the point")
	ErrNoDisk      = errors.New("no such disk on this node")
	ErrMismatch    = errors.New("content does not have the state hash of its commit")
	ErrClosed      = errors.New("replica is closed")
)

// Disks are described by package disk.
type (
	DiskSpec   = disk.Spec
	DiskStatus = disk.Status
	Report     = disk.Report
)

// Entry is one committed point of a group. Number grows by commit within the group, on all timelines; neither it nor
// the commit ever changes.
type Entry struct {
	Number uint64
	Commit *replicate.Commit
}

// FetchFunc returns a wire pack of the group from wherever it can be had. An error that is packs.ErrNotFound says that
// nobody has it any more.
type FetchFunc func(ctx context.Context, group ident.GroupID, id pack.ID) ([]byte, error)

// Peer reads points from another replica of the same group. It picks the replica by the point's group.
type Peer interface {
	// ReadPoint returns n bytes of the volume at off; the caller owns them.
	ReadPoint(ctx context.Context, p ident.Point, v ident.VolumeID, off int64, n int) ([]byte, error)
	// Leaves returns the leaves of count blocks from block first on.
	Leaves(ctx context.Context, p ident.Point, v ident.VolumeID, first uint64, count int) ([]leaf.Leaf, error)
	// Extents describes [off, off+n) in address order.
	Extents(ctx context.Context, p ident.Point, v ident.VolumeID, off, n int64) ([]target.Extent, error)
}

// MismatchError says that a volume, as taken in by this node, is not what the gateway had. Nothing of the point is
// offered. It is ErrMismatch.
type MismatchError struct {
	Point     ident.Point
	Volume    ident.VolumeID
	Got, Want leaf.State
	Ranges    []target.Extent // where the difference lies, as narrowly as is known
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%v: point %v, volume %s: state is %v, commit says %v (%d ranges suspected)",
		ErrMismatch, e.Point, e.Volume, e.Got, e.Want, len(e.Ranges))
}

func (e *MismatchError) Unwrap() error { return ErrMismatch }
