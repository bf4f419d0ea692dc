package api

// Progress is one report of work that takes long. Done and Total are in Unit; Total 0 means not known.
type Progress struct {
	What  string `json:"what"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	Unit  string `json:"unit" doc:"bytes, points or disks"`
}

// WaitResult says what a wait has waited for.
type WaitResult struct {
	Volume    string  `json:"volume"`
	Point     Point   `json:"point" doc:"a committed point that holds all that was written before the call"`
	Committed bool    `json:"committed"`
	Disks     []Disk  `json:"disks" doc:"the volume's disks; each shows the point or a later one"`
	Seconds   float64 `json:"seconds"`
}

// VerifyResult is the comparison of a volume on both sides.
type VerifyResult struct {
	Equal   bool           `json:"equal"`
	Volumes []VerifyVolume `json:"volumes"`
	Disks   []DiskReport   `json:"disks"`
}

// VerifyVolume compares one volume at one point.
type VerifyVolume struct {
	Volume   string   `json:"volume"`
	Point    Point    `json:"point"`
	Equal    bool     `json:"equal"`
	Gateway  string   `json:"gateway_state,omitempty" doc:"state hash from the gateway's bytes"`
	Provider []string `json:"provider_states" doc:"state hash of the commit at the provider"`
	Differ   []Range  `json:"differ,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// Explanation says how a range, or everything, of a volume was classified and sent.
type Explanation struct {
	Volume  string          `json:"volume"`
	Range   Range           `json:"range"`
	Notes   []string        `json:"notes,omitempty" doc:"what is known of the volume: file system, partition table"`
	Parts   []ExplainPart   `json:"parts" doc:"regions of the range, in address order"`
	Changes *ExplainChanges `json:"changes,omitempty" doc:"what one point changed in the range: the one asked for, else the head; absent while there is none"`
	Epochs  []ExplainEpoch  `json:"epochs" doc:"latest epochs that touched the volume, newest first"`
	Chunks  []ChunkCount    `json:"chunks" doc:"totals of the volume since the start; empty for a point"`

	Decisions []Decision `json:"decisions,omitempty" doc:"what packaging decided last in the range, the latest first, and why; absent for a point"`
}

// ExplainChanges is what a point changed, as the provider keeps it.
type ExplainChanges struct {
	Point    Point          `json:"point"`
	Since    *Point         `json:"since,omitempty" doc:"earlier point that it was compared with; absent: nothing but zeroes"`
	Complete bool           `json:"complete" doc:"these are the changes of the point's own epoch; false: the point before it is not kept, and those of all epochs since the earlier one are listed"`
	Range    Range          `json:"range" doc:"what was looked at"`
	Totals   []ExplainTotal `json:"totals" doc:"by class, of listed and omitted chunks"`
	Chunks   []ExplainChunk `json:"chunks" doc:"in address order"`
	Omitted  uint64         `json:"omitted" doc:"chunks that are not listed"`
}

// ExplainChunk is a run of changed blocks of one class.
type ExplainChunk struct {
	Class  string `json:"class"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Zero   bool   `json:"zero" doc:"the blocks are all zero at the point"`
}

// ExplainTotal sums the changed runs of one class.
type ExplainTotal struct {
	Class  string `json:"class"`
	Chunks uint64 `json:"chunks"`
	Bytes  uint64 `json:"bytes"`
}

// ExplainPart is a run of one region of the file system on the volume.
type ExplainPart struct {
	Range  Range  `json:"range"`
	Region string `json:"region"`
	Class  string `json:"class,omitempty" doc:"class that a write here gets in the path"`
	Path   string `json:"path,omitempty" doc:"file whose content, directory blocks, extent tree or inode it is"`
	Inode  uint64 `json:"inode,omitempty"`
	At     int64  `json:"file_offset,omitempty" doc:"in the content of the file"`
}

// ExplainEpoch is what one epoch cost.
type ExplainEpoch struct {
	Point     Point        `json:"point"`
	Name      string       `json:"name,omitempty"`
	HostBytes int64        `json:"host_bytes"`
	WireBytes int64        `json:"wire_bytes" doc:"bytes of the point's packs, all volumes together"`
	Chunks    []ChunkCount `json:"chunks"`
}
