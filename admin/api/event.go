package api

import "time"

// Event is something that happened and that an operator may want to know.
type Event struct {
	Seq   uint64    `json:"seq" doc:"grows by one within one run of the process"`
	Time  time.Time `json:"time"`
	Level string    `json:"level" enum:"info,warning,error"`
	Kind  string    `json:"kind" doc:"what happened, as noun.verb: volume.created, disk.conflict"`
	Text  string    `json:"text"`
}
