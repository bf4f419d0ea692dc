package api

import "time"

// Group is a consistency group: volumes that share one order of writes.
type Group struct {
	Name        string    `json:"name"`
	ID          string    `json:"id"`
	Timeline    string    `json:"timeline"`
	Volumes     []string  `json:"volumes"`
	Replication string    `json:"replication" doc:"on, off, or why it stands still" enum:"on,off,blocked,fenced,stopped"`
	Committed   Point     `json:"committed" doc:"newest point that the provider holds"`
	Sealed      uint64    `json:"epochs_sealed"`
	Pending     Pending   `json:"pending"`
	LagSeconds  float64   `json:"lag_seconds" doc:"age of the oldest write that is not committed"`
	Log         Log       `json:"log"`
	Rates       Rates     `json:"rates"`
	Wire        Wire      `json:"wire"`
	Error       string    `json:"error,omitempty" doc:"latched or latest failure"`
	Mode        GroupMode `json:"mode" doc:"when a flush is answered"`
	Choices     []string  `json:"choices,omitempty" doc:"what an operator can decide, when the group is read-only because its history and the cluster's have parted: restore, takeover, overwrite"`
	Deciding    string    `json:"deciding,omitempty" doc:"decision that is being carried out"`
	Branches    []Branch  `json:"branches,omitempty" doc:"histories of this group, or of what was in its place, that were replaced by a restore"`
}

// Branch is the folder of a history that a restore has put aside. It is never replayed.
type Branch struct {
	Name   string    `json:"name"`
	Path   string    `json:"path" doc:"folder on the gateway"`
	Group  string    `json:"group" doc:"UUID"`
	At     time.Time `json:"at" doc:"when it was put aside"`
	Reason string    `json:"reason,omitempty" doc:"why the group was read-only then"`
}

// The decisions of an operator about a group.
const (
	ActRestore   = "restore"
	ActTakeover  = "takeover"
	ActOverwrite = "overwrite"
)

// GroupAct is a decision about a group that is read-only.
type GroupAct struct {
	Act  string `json:"act" enum:"restore,takeover,overwrite" doc:"restore: fill the gateway from the cluster's newest point; takeover: take the group from the gateway that holds it, with the same history; overwrite: make the gateway's content the next point"`
	From string `json:"from,omitempty" doc:"restore: group of the cluster to restore, by UUID or GATEWAY/NAME; absent: the one that belongs here"`
}

// GroupDecision is what was decided. The gateway starts anew with it.
type GroupDecision struct {
	Act   string `json:"act"`
	Group string `json:"group" doc:"UUID of the cluster's group"`
}

// Point identifies a recovery point.
type Point struct {
	Timeline string    `json:"timeline"`
	End      uint64    `json:"end" doc:"last sequence that the point holds"`
	Digest   string    `json:"digest"`
	Time     time.Time `json:"time,omitzero"`
}

// Pending is what waits on the gateway.
type Pending struct {
	Epochs       int       `json:"epochs" doc:"sealed and not committed"`
	Bytes        int64     `json:"bytes"`
	ActiveBytes  int64     `json:"active_bytes" doc:"written and not sealed"`
	OldestSealed time.Time `json:"oldest_sealed,omitzero"`
}

// Rates say whether a group that is behind catches up: it does while hosts write less than is committed.
type Rates struct {
	DirtyingBytes float64 `json:"dirtying_bytes_per_second" doc:"that hosts write, of late"`
	DrainingBytes float64 `json:"draining_bytes_per_second" doc:"of what hosts wrote, that were committed of late; 0 while nothing was"`
	Overflow      bool    `json:"overflow" doc:"the log ran full: epochs are moved to the base before they are committed"`
	Throttle      bool    `json:"throttle" doc:"hosts are slowed down while the group is behind"`
}

// GroupChange changes how a group works, until the next start.
type GroupChange struct {
	Throttle *bool `json:"throttle,omitempty" doc:"slow hosts down while the group is behind"`
}

// Log is the fill of a group's write log.
type Log struct {
	UsedBytes   int64  `json:"used_bytes"`
	BudgetBytes int64  `json:"budget_bytes"`
	NoSpace     string `json:"no_space,omitempty" doc:"what there is no room for on the gateway's disk"`
	Waiting     bool   `json:"waiting" doc:"writes wait for room in the log, or have been refused for want of it"`
}

// Wire counts the bytes of the provider connection as sent, before TLS.
type Wire struct {
	SentBytes     uint64 `json:"sent_bytes"`
	ReceivedBytes uint64 `json:"received_bytes"`
	PackBytes     uint64 `json:"pack_bytes" doc:"payload of packs within sent_bytes"`
	HostBytes     uint64 `json:"host_bytes" doc:"bytes that hosts wrote since the start"`
	SavedBytes    int64  `json:"saved_bytes" doc:"host_bytes less sent_bytes"`
	Epochs        uint64 `json:"epochs" doc:"epochs committed since the start"`
}
