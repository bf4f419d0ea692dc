package disk

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target"
)

// What can keep a disk from following.
var (
	ErrConflict = errors.New("disk was changed by somebody else")
	ErrBusy     = errors.New("disk is in use by another process")
	ErrSidecar  = errors.New("sidecar of the disk is damaged")
	ErrSpec     = errors.New("disk description is not valid")
)

// Kind is what a disk is kept in.
type Kind string

const (
	Raw   Kind = "raw"   // a file of the volume's size; created if absent, sparse
	Block Kind = "block" // a block device at least as large as the volume
	NBD   Kind = "nbd"   // an export of an NBD server, by URI
)

// Policy says what to do with a disk that does not hold what it should.
type Policy string

const (
	Refuse    Policy = "refuse"    // leave it alone and say so: the default
	Resync    Policy = "resync"    // compare all of it with the newest point and rewrite what differs
	Overwrite Policy = "overwrite" // as resync, after saving what is replaced until it is released
)

// Spec describes one disk of this node.
type Spec struct {
	ID     ident.UUID     `json:"id"`
	Group  ident.GroupID  `json:"group"`
	Volume ident.VolumeID `json:"volume"`
	Kind   Kind           `json:"kind"`
	Place  string         `json:"place"`  // path or URI
	Policy Policy         `json:"policy"` // "" is Refuse
}

// Valid returns ErrSpec, with the reason, unless s can be followed.
func (s Spec) Valid() error {
	switch {
	case s.ID.IsZero() || s.Group.IsZero() || s.Volume.IsZero():
		return fmt.Errorf("%w: no ID, group or volume", ErrSpec)
	case s.Kind != Raw && s.Kind != Block && s.Kind != NBD:
		return fmt.Errorf("%w: kind %q is none of raw, block, nbd", ErrSpec, s.Kind)
	case s.Place == "":
		return fmt.Errorf("%w: no place", ErrSpec)
	case s.Policy != "" && s.Policy != Refuse && s.Policy != Resync && s.Policy != Overwrite:
		return fmt.Errorf("%w: policy %q is none of refuse, resync, overwrite", ErrSpec, s.Policy)
	}
	return nil
}

// State is what a disk is doing.
type State string

const (
	Fresh    State = "new"      // no point of its volume has reached it yet
	Checking State = "checking" // its content is being compared with a point
	Applying State = "applying" // between two points; not to be read by others
	Clean    State = "clean"    // shows its point
	Conflict State = "conflict" // see Policy; untouched
	Failed   State = "failed"   // can not be read or written; tried again
)

// Status is the condition of one disk.
type Status struct {
	Spec         Spec
	State        State
	Point        ident.Point     // what the disk shows; zero: nothing of the volume yet
	Number       uint64          // number of Point
	Target       ident.Point     // what it is being brought to, while Applying
	Err          error           // why, when Conflict or Failed
	Conflicts    []target.Extent // ranges that do not hold what they should, in address order; at most ConflictsMax
	AppliedBytes int64           // bytes written to the disk since the process began
}

// ConflictsMax is the number of ranges that a Status or Report lists; further ones are counted only.
const ConflictsMax = 1024

// Report is the outcome of comparing a whole disk with its point.
type Report struct {
	Point       ident.Point
	Blocks      uint64          // blocks of 4 KiB compared
	Differing   uint64          // of them, blocks that differ
	Differences []target.Extent // where, in address order; at most ConflictsMax
	StateWant   leaf.State      // state hash in the commit of Point
	StateGot    leaf.State      // state hash of the disk's bytes
}

// StateMatch reports whether the disk's bytes have the state hash of the commit.
func (r *Report) StateMatch() bool { return r.StateGot == r.StateWant }
