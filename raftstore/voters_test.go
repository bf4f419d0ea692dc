package raftstore

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestNextSuffrage(t *testing.T) {
	type member struct {
		id     raft.ServerID
		voter  bool
		silent time.Duration
	}
	const up, long, short = -1, time.Hour, time.Minute
	for name, tc := range map[string]struct {
		members []member
		want    suffrage
	}{
		"all vote":                {[]member{{"a", true, up}, {"b", true, up}, {"c", true, up}}, suffrage{}},
		"room for one more":       {[]member{{"a", true, up}, {"b", true, up}, {"c", false, up}}, suffrage{promote: "c"}},
		"a follower too many":     {[]member{{"a", true, up}, {"b", true, up}, {"c", true, up}, {"d", false, up}}, suffrage{}},
		"voter gone":              {[]member{{"a", true, up}, {"b", true, long}, {"c", true, up}, {"d", false, up}}, suffrage{demote: "b"}},
		"voter away for a moment": {[]member{{"a", true, up}, {"b", true, short}, {"c", true, up}, {"d", false, up}}, suffrage{}},
		"voter gone, no follower": {[]member{{"a", true, up}, {"b", true, long}, {"c", true, up}}, suffrage{}},
		"both gone":               {[]member{{"a", true, up}, {"b", true, long}, {"c", true, up}, {"d", false, long}}, suffrage{}},
	} {
		var members []raft.Server
		silent := map[raft.ServerID]time.Duration{}
		for _, m := range tc.members {
			s := raft.Server{ID: m.id, Suffrage: raft.Nonvoter}
			if m.voter {
				s.Suffrage = raft.Voter
			}
			members = append(members, s)
			silent[m.id] = m.silent
		}
		got := nextSuffrage(members, 3, 5*time.Minute, func(id raft.ServerID) time.Duration { return silent[id] })
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestVotePassesOn runs six nodes: five vote, and the sixth does once one of them is gone.
func TestVotePassesOn(t *testing.T) {
	c := newTestCluster(t)
	c.voterGoneAfter = time.Millisecond
	c.startNodes(6)
	voters := func() map[string]bool {
		m := map[string]bool{}
		for _, v := range c.nodes[c.leader()].voters() {
			m[memberName(v)] = true
		}
		return m
	}
	five := voters()
	if len(five) != 5 {
		t.Fatalf("voters are %v, want five", five)
	}
	leader, gone := c.leader(), ""
	for name := range five {
		if name != leader {
			gone = name
		}
	}
	c.stop(gone)
	eventually(t, "the sixth node votes", func() bool { v := voters(); return len(v) == 5 && !v[gone] })
	g := c.gateway()
	g.mustOpen()
	g.commit("")
	c.start(gone)
	eventually(t, "the node that came back follows", func() bool { return c.nodes[gone].LeaderAddress() != "" })
}
