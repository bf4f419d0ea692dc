package api

import "time"

// Clone is a point that is served: read-only, or for writing.
type Clone struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Group     string        `json:"group"`
	Point     Point         `json:"point"`
	PointName string        `json:"point_name,omitempty" doc:"name that the point had when the clone was made"`
	ReadOnly  bool          `json:"read_only"`
	Created   time.Time     `json:"created,omitzero"`
	OwnBytes  int64         `json:"own_bytes" doc:"how much of the volumes the clone holds itself: what was written to it, and what was filled"`
	Filled    bool          `json:"filled" doc:"the clone holds everything itself and needs its point no more"`
	Volumes   []CloneVolume `json:"volumes"`
	Error     string        `json:"error,omitempty" doc:"why the clone is not served"`
}

// CloneVolume is a volume of a clone.
type CloneVolume struct {
	Volume    string `json:"volume"`
	Export    string `json:"export" doc:"name at the NBD door; VOLUME@CLONE"`
	Size      int64  `json:"size"`
	BlockSize int    `json:"block_size"`
	OwnBytes  int64  `json:"own_bytes"`
	Place     string `json:"place,omitempty" doc:"disk or file that takes the content; absent: a file in the data folder"`
	Attach    Attach `json:"attach"`
}

// CloneCreate asks for a point to be served.
type CloneCreate struct {
	Group    string            `json:"group"`
	Point    string            `json:"point" doc:"name or end sequence"`
	Name     string            `json:"name,omitempty" doc:"name of the clone; clone-1, clone-2, … when absent"`
	Volumes  []string          `json:"volumes,omitempty" doc:"volumes to serve; all of the point when absent"`
	Writable bool              `json:"writable,omitempty"`
	Places   map[string]string `json:"places,omitempty" doc:"by volume: absolute path of a block device, or of a file that is not there yet, that takes the content instead of the data folder"`
}

// CloneList is the answer of listClones.
type CloneList struct {
	Items []Clone `json:"items"`
}

// CloneRanges are ranges of a volume, in address order; what lies between them is zero.
type CloneRanges struct {
	Items []Range `json:"items"`
	Next  int64   `json:"next" doc:"where the description ends: ask again from here on unless it is the end of the range"`
}
