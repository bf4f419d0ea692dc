package replicate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
)

// Commit is what makes an epoch's packs a point: the only part of an epoch that goes through Raft. It is immutable
// once its digest has been taken.
type Commit struct {
	Group    ident.GroupID
	Timeline ident.Timeline
	Previous ident.Point // the head that the packs build on; zero: the empty group
	First    ident.Seq   // first sequence that the epoch holds
	End      ident.Seq   // last one; > Previous.End on the same timeline
	Time     int64       // when the epoch was sealed by the gateway's clock, Unix nanoseconds
	Name     string      // name of the point, "" for an unnamed one
	Packs    []pack.Ref  // wire packs in stream order
	Volumes  []VolumeState
}

// VolumeState is one volume at a point. A point lists every volume that its group has there.
type VolumeState struct {
	Volume    ident.VolumeID
	Name      string
	Size      int64 // bytes
	BlockSize int   // bytes
	State     leaf.State
	Counts    codec.ClassCounts // what the epoch did to it
	Partial   bool              // its first sync is not complete: what is missing reads as zeroes. No disk may show it
}

// Limits of what a Commit may hold; DecodeCommit refuses more.
const (
	MaxVolumes  = 4096
	MaxPacks    = 1 << 20
	MaxNameSize = 256 // bytes
)

// ErrBadCommit says that bytes are not the canonical encoding of a valid commit.
var ErrBadCommit = errors.New("not a valid commit")

// Digest returns the SHA-256 of the canonical encoding.
func (c *Commit) Digest() ident.Digest { return sha256.Sum256(c.Encode()) }

// Point returns the identity of the point that c makes.
func (c *Commit) Point() ident.Point {
	return ident.Point{Group: c.Group, Timeline: c.Timeline, End: c.End, Digest: c.Digest()}
}

// PackBytes is the total size of the commit's packs.
func (c *Commit) PackBytes() int64 {
	var n int64
	for _, p := range c.Packs {
		n += int64(p.Size)
	}
	return n
}

// partial reports whether any volume is.
func (c *Commit) partial() bool {
	return slices.ContainsFunc(c.Volumes, func(v VolumeState) bool { return v.Partial })
}

func (c *Commit) valid() error {
	switch {
	case c.Group.IsZero() || c.Timeline.IsZero():
		return fmt.Errorf("%w: no group or timeline", ErrBadCommit)
	case c.Previous.Timeline == c.Timeline && c.End <= c.Previous.End:
		return fmt.Errorf("%w: ends at %d, previous point at %d", ErrBadCommit, c.End, c.Previous.End)
	case len(c.Volumes) > MaxVolumes || len(c.Packs) > MaxPacks || len(c.Name) > MaxNameSize:
		return fmt.Errorf("%w: %d volumes, %d packs, name of %d bytes", ErrBadCommit, len(c.Volumes), len(c.Packs), len(c.Name))
	}
	seen := make(map[ident.VolumeID]bool, len(c.Volumes))
	for _, v := range c.Volumes {
		if seen[v.Volume] || v.Volume.IsZero() {
			return fmt.Errorf("%w: volume %s is listed twice or has no ID", ErrBadCommit, v.Volume)
		}
		seen[v.Volume] = true
		if (v.BlockSize != 512 && v.BlockSize != 4096) || v.Size < 0 || v.Size%int64(v.BlockSize) != 0 {
			return fmt.Errorf("%w: volume %s of %d bytes in blocks of %d", ErrBadCommit, v.Volume, v.Size, v.BlockSize)
		}
		if len(v.Name) > MaxNameSize {
			return fmt.Errorf("%w: volume name of %d bytes", ErrBadCommit, len(v.Name))
		}
	}
	return nil
}
