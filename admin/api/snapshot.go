package api

import "time"

// Snapshot is a point that is kept.
type Snapshot struct {
	Group     string           `json:"group"`
	Name      string           `json:"name,omitempty" doc:"empty for a point that only the retention rule keeps"`
	Point     Point            `json:"point"`
	Number    uint64           `json:"number" doc:"for display: counts the points of the group"`
	Time      time.Time        `json:"time,omitzero"`
	KeptBy    string           `json:"kept_by" doc:"name, rule or head" enum:"name,rule,head"`
	Verified  bool             `json:"verified" doc:"the provider that answered has compared its bytes with the state hash"`
	PackBytes uint64           `json:"pack_bytes" doc:"bytes of the packs that made the point"`
	Volumes   []SnapshotVolume `json:"volumes"`
}

// SnapshotVolume is a volume within a point.
type SnapshotVolume struct {
	Name   string       `json:"name"`
	ID     string       `json:"id"`
	Size   int64        `json:"size"`
	State  string       `json:"state_hash"`
	Chunks []ChunkCount `json:"chunks,omitempty" doc:"what the epoch of the point did to the volume; left out in lists"`
}

// SnapshotCreate asks for a named point of a group as it is now.
type SnapshotCreate struct {
	Name string `json:"name" doc:"1 to 64 characters of a-z, 0-9, dot, dash, underscore; begins with a letter"`
}
