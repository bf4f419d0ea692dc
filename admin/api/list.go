package api

// The bodies of calls that answer with a list. An object leaves room for paging.
type (
	VolumeList struct {
		Items []Volume `json:"items"`
	}
	GroupList struct {
		Items []Group `json:"items"`
	}
	SnapshotList struct {
		Items []Snapshot `json:"items"`
	}
	DiskList struct {
		Items []Disk `json:"items"`
	}
	SessionList struct {
		Items []Session `json:"items"`
	}
	EventList struct {
		Items []Event `json:"items"`
	}
)
