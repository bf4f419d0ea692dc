package migrate

import "time"

// State is where a migration stands.
type State string

const (
	Following State = "following" // the destination follows; a cutover can begin
	Cutting   State = "cutover"   // a cutover runs, or was cut off
	Fenced    State = "fenced"    // behind the point of no return, not all steps done
	Done      State = "done"
	Aborted   State = "aborted"
)

// Step is one part of a cutover.
type Step string

// The steps in their order.
const (
	Quiesce Step = "quiesce" // hook on the source
	Hold    Step = "hold"    // writes wait
	Commit  Step = "commit"  // the last epoch is committed and on every disk
	Verify  Step = "verify"  // both sides agree on the state hash of the point
	Fence   Step = "fence"   // the source can not write any more
	Promote Step = "promote" // the disks follow no more
	Start   Step = "start"   // hook that starts the destination
)

var steps = []Step{Quiesce, Hold, Commit, Verify, Fence, Promote, Start}

// Record is what a step took.
type Record struct {
	Step    Step      `json:"step"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Done    bool      `json:"done"`
	Error   string    `json:"error,omitempty"`
}

// Disk is a destination of the migration.
type Disk struct {
	ID     string `json:"id"`
	Volume string `json:"volume"`
	Kind   string `json:"kind"`
	Place  string `json:"place"`
	Node   string `json:"node"`
}

// Migration is one move of a group, as it is kept on stable storage.
type Migration struct {
	ID       string    `json:"id"`
	State    State     `json:"state"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Disks    []Disk    `json:"disks"`
	Point    string    `json:"point,omitempty"` // that the disks were left at
	Steps    []Record  `json:"steps,omitempty"` // of the latest cutover
	Downtime float64   `json:"downtime_seconds,omitempty"`
	Error    string    `json:"error,omitempty"` // that ended the latest cutover
}

// Active reports whether the migration can still go on.
func (m *Migration) Active() bool { return m != nil && m.State != Done && m.State != Aborted }

// finished reports whether a step of the cutover was done.
func (m *Migration) finished(s Step) bool {
	for _, r := range m.Steps {
		if r.Step == s && r.Done {
			return true
		}
	}
	return false
}
