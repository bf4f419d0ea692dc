package api

// GroupMode says when a Flush, or a write with FUA, is answered.
type GroupMode struct {
	Mode         string  `json:"mode" enum:"async,sync" doc:"async: when it is on stable storage at the gateway; sync: when a committed point holds it too"`
	DegradeAfter float64 `json:"degrade_after" doc:"sync: seconds that a flush waits before the group goes on without its provider, until commits keep up again; 0: it waits as long as it takes"`
	Degraded     bool    `json:"degraded" doc:"sync: nothing waits for commits at present"`
	Waiting      int     `json:"waiting" doc:"sync: requests that wait for a commit now"`
}

// The modes of a group.
const (
	ModeAsync = "async"
	ModeSync  = "sync"
)
