package api

// Disk is a destination VM disk that follows a volume.
type Disk struct {
	ID       string  `json:"id"`
	Volume   string  `json:"volume"`
	VolumeID string  `json:"volume_id"`
	Kind     string  `json:"kind" doc:"raw, block or nbd"`
	Place    string  `json:"place"`
	Node     string  `json:"node,omitempty" doc:"provider node that writes the disk"`
	State    string  `json:"state" doc:"new, checking, applying, clean, conflict or failed"`
	Point    Point   `json:"point" doc:"the point that the disk shows"`
	Behind   bool    `json:"behind" doc:"there is a committed point that the disk does not show yet"`
	Policy   string  `json:"policy,omitempty" doc:"what to do in conflict: refuse, resync or overwrite"`
	Applied  uint64  `json:"applied_bytes" doc:"bytes written to the disk since its node started"`
	Error    string  `json:"error,omitempty"`
	Conflict []Range `json:"conflict,omitempty" doc:"ranges that were changed behind our back"`
}

// Range is a run of bytes.
type Range struct {
	Off int64 `json:"off"`
	Len int64 `json:"len"`
}

// DiskAdd asks for a disk that follows a volume.
type DiskAdd struct {
	Volume string `json:"volume"`
	Kind   string `json:"kind" enum:"raw,block,nbd"`
	Place  string `json:"place" doc:"absolute path at the provider node, or URI for nbd"`
	Node   string `json:"node,omitempty" doc:"provider node; may be left out when there is one"`
	Policy string `json:"policy,omitempty" doc:"what to do with a disk that does not hold what it should: refuse, resync or overwrite" enum:"refuse,resync,overwrite"`
}

// DiskReport is the outcome of comparing a disk with the point that it claims to show.
type DiskReport struct {
	Disk    Disk    `json:"disk"`
	Point   Point   `json:"point"`
	Equal   bool    `json:"equal"`
	Checked int64   `json:"checked_bytes"`
	Differ  []Range `json:"differ,omitempty"`
	Want    string  `json:"state_hash_want" doc:"state hash in the commit of the point"`
	Got     string  `json:"state_hash_got" doc:"state hash of the disk's bytes"`
}
