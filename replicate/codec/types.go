package codec

import (
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// View is the content of one volume at one point. A read beyond the size that the volume had there yields zeroes.
// Safe for concurrent use.
type View interface {
	ReadAt(p []byte, off int64) error
}

// Extent is a range that the epoch wrote, with the in-path tag of what was written last in it.
type Extent struct {
	Off, Len int64 // bytes; Len > 0
	Zero     bool  // the range reads as zeroes
	Tag      classify.Tag
}

// VolumeChange is what an epoch did to one volume.
type VolumeChange struct {
	Volume  ident.VolumeID
	Size    int64         // bytes, at the epoch's end
	Extents []Extent      // sorted by Off, not overlapping, within Size
	Old     View          // at the previous point
	New     View          // at the epoch's end
	State   leaf.State    // state hash of Old
	Map     *classify.Map // file-system knowledge; nil: none

	Sensitivity *Sensitivity // nil: that of the Options
}

// ClassCount is what one class did to one volume in one epoch.
type ClassCount struct {
	Chunks     uint64 `json:"chunks"`
	HostBytes  uint64 `json:"host_bytes"`  // bytes of the ranges, as the host wrote them, coalesced
	WireBytes  uint64 `json:"wire_bytes"`  // bytes of packs that they became, shares of shared streams included
	ShareBytes uint64 `json:"share_bytes"` // bytes changed really, as found by comparing
}

const numClasses = classify.NumClasses

// ClassCounts is a ClassCount for each class.
type ClassCounts [classify.NumClasses]ClassCount

// VolumeSummary is what became of a VolumeChange.
type VolumeSummary struct {
	Volume ident.VolumeID
	State  leaf.State // state hash of New
	Counts ClassCounts

	Encodings EncodingCounts
}

// Chunk is one packaged change, decoded. No two chunks of an epoch touch the same leaf block (4 KiB).
type Chunk struct {
	Volume ident.VolumeID
	Off    int64 // bytes
	Len    int64 // bytes
	Class  classify.Class
	Zero   bool   // the range is zero now; Data is nil
	Data   []byte // Len bytes, valid during the call only

	// Unchanged is a notice: the host wrote Blocks leaf blocks between Off and Off+Len with the content that they had.
	// Other chunks may lie in that range. Data is nil and there is nothing to apply.
	Unchanged bool
	Blocks    int64
}
