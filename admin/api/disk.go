package api

// Disk is a destination VM disk that follows a volume.
type Disk struct {
	ID       string  `json:"id"`
	Volume   string  `json:"volume"`
	Kind     string  `json:"kind" doc:"raw: a file or block device at the provider node"`
	Place    string  `json:"place"`
	Node     string  `json:"node,omitempty" doc:"provider node that writes the disk"`
	State    string  `json:"state" doc:"clean, applying, syncing, waiting, conflict, failed or detached"`
	Point    Point   `json:"point" doc:"the point that the disk shows"`
	Behind   uint64  `json:"behind" doc:"committed points that the disk does not show yet"`
	Size     int64   `json:"size,omitempty"`
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
	Volume    string `json:"volume"`
	Kind      string `json:"kind" enum:"raw"`
	Place     string `json:"place" doc:"absolute path at the provider node"`
	Node      string `json:"node,omitempty" doc:"provider node; may be left out when there is one"`
	Overwrite bool   `json:"overwrite,omitempty" doc:"replace what a file that already exists holds"`
}

// DiskReport is the outcome of comparing a disk with the point that it claims to show.
type DiskReport struct {
	Disk    Disk    `json:"disk"`
	Equal   bool    `json:"equal"`
	Checked int64   `json:"checked_bytes"`
	Differ  []Range `json:"differ,omitempty"`
}
