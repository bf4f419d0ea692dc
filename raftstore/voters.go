package raftstore

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"github.com/weirstor/weir/raftstore/meta"
)

// voterGoneAfter is how long a voter may be silent before a node that only follows takes its vote. Groups are not moved
// for that: the node may come back with its content.
const voterGoneAfter = 5 * time.Minute

// suffrage is a change of who votes.
type suffrage struct {
	promote, demote raft.ServerID
}

// nextSuffrage decides who should vote. Members beyond votersMax only follow; when a voter has been silent for goneAfter
// and a follower answers, the vote passes to that. silent tells how long a member has not answered, -1: it answers.
func nextSuffrage(members []raft.Server, votersMax int, goneAfter time.Duration, silent func(raft.ServerID) time.Duration) suffrage {
	voters := 0
	var gone, ready raft.ServerID
	for _, m := range members {
		quiet := silent(m.ID)
		switch {
		case m.Suffrage == raft.Voter:
			voters++
			if quiet >= goneAfter {
				gone = m.ID
			}
		case quiet < 0:
			ready = m.ID
		}
	}
	switch {
	case ready == "":
		return suffrage{}
	case voters < votersMax:
		return suffrage{promote: ready}
	default:
		return suffrage{demote: gone} // its vote is given away in the next round
	}
}

// silence returns how long a node has not answered, -1 if it does.
func (h *house) silence(id string, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	since, ok := h.silentSince[id]
	if !ok {
		return -1
	}
	return now.Sub(since)
}

// heard records which members have answered.
func (h *house) heard(members []meta.Node, answered func(id string) bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[string]time.Time)
	for _, m := range members {
		if answered(m.ID) {
			continue
		}
		since, known := h.silentSince[m.ID]
		if !known {
			since = now
		}
		next[m.ID] = since
	}
	h.silentSince = next
}

// settleVotes makes one change of who votes, if one is due.
func (n *Node) settleVotes() error {
	now := time.Now()
	members := n.members()
	due := nextSuffrage(members, votersMax, n.opt.voterGoneAfter, func(id raft.ServerID) time.Duration {
		return n.house.silence(string(id), now)
	})
	for _, m := range members {
		var f raft.IndexFuture
		switch m.ID {
		case due.promote:
			f = n.raft.AddVoter(m.ID, m.Address, 0, proposeTimeout)
		case due.demote:
			f = n.raft.DemoteVoter(m.ID, 0, proposeTimeout)
		default:
			continue
		}
		if err := f.Error(); err != nil {
			return fmt.Errorf("vote of %s: %w", m.ID, err)
		}
		n.log.Info("votes have changed", "promoted", due.promote, "demoted", due.demote)
	}
	return nil
}
