package api

import "time"

// Migration is the move of a group's servers to its disks.
type Migration struct {
	ID       string          `json:"id"`
	Group    string          `json:"group"`
	State    string          `json:"state" enum:"following,cutover,fenced,done,aborted" doc:"fenced: behind the point of no return, and not all steps done: cut over again"`
	Started  time.Time       `json:"started"`
	Ended    time.Time       `json:"ended,omitzero"`
	Disks    []MigrationDisk `json:"disks"`
	Point    string          `json:"point,omitempty" doc:"that the disks were left at"`
	Steps    []MigrationStep `json:"steps" doc:"of the latest cutover"`
	Downtime float64         `json:"downtime_seconds,omitempty" doc:"from the moment at which writes began to wait"`
	Error    string          `json:"error,omitempty" doc:"that ended the latest cutover"`
	Waiting  MigrationLag    `json:"waiting" doc:"what a cutover now would have to bring over first"`
}

// MigrationDisk is a destination.
type MigrationDisk struct {
	ID     string `json:"id"`
	Volume string `json:"volume"`
	Kind   string `json:"kind"`
	Place  string `json:"place"`
	Node   string `json:"node"`
	State  string `json:"state,omitempty"`
	Behind bool   `json:"behind"`
}

// MigrationStep is what a step of a cutover took.
type MigrationStep struct {
	Step    string    `json:"step" enum:"quiesce,hold,commit,verify,fence,promote,start"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Done    bool      `json:"done"`
	Error   string    `json:"error,omitempty"`
}

// MigrationLag is how far the destination is behind.
type MigrationLag struct {
	Seconds  float64 `json:"lag_seconds"`
	Bytes    int64   `json:"bytes" doc:"of the log that are not committed"`
	Estimate float64 `json:"estimate_seconds,omitempty" doc:"that bringing them over would take at the rate of the last seconds; absent while there is none"`
}
