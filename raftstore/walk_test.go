package raftstore

import (
	"errors"
	"testing"

	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// TestCommitWalk lets a node die at every step of a commit, the leader and a follower, and the gateway repeat the call
// until it is answered: each commit becomes exactly one point, on every node.
func TestCommitWalk(t *testing.T) {
	c := startCluster(t, 3)
	g := c.gateway()
	g.mustOpen()
	points := 0
	for _, dies := range []struct {
		leader bool
		at     step
		inline bool
	}{
		{true, stepReceived, true},
		{true, stepPut, true},
		{true, stepCounted, true},
		{true, stepCounted, false},
		{true, stepCommitted, true},
		{true, stepCommitted, false},
		{true, stepStored, false},
		{false, stepStored, true},
		{false, stepStored, false},
	} {
		victim := c.follower()
		if dies.leader {
			victim = c.leader()
		}
		t.Logf("%s (leader %v) dies at %q, packs inline %v", victim, dies.leader, dies.at, dies.inline)
		p := randomPack(200)
		next := g.next("", p)
		died := c.arm(victim, dies.at)
		answered := make(chan error, 1)
		go func() {
			var inline []pack.Pack
			if dies.inline {
				inline = append(inline, p)
			} else if err := g.put(p); err != nil {
				answered <- err
				return
			}
			n, err := g.send(next, inline...)
			if errors.Is(err, rpc.ErrMissing) { // it was on the node that died and one other: a gateway sends it again
				n, err = g.send(next, p)
			}
			if err == nil && n != uint64(points+1) {
				t.Errorf("number %d, want %d", n, points+1)
			}
			answered <- err
		}()
		var err error
		select {
		case <-died: // a leader that only forwards is never at the step of a follower
			c.stop(victim)
			c.disarm()
			err = <-answered
			c.start(victim)
		case err = <-answered:
			c.disarm()
		}
		if err != nil {
			t.Fatalf("commit: %v", err)
		}
		points++
		for name, n := range c.nodes {
			eventually(t, name+" has the point", func() bool { return n.copies.Verified(g.group) == next.Point() })
		}
		if n := len(g.points()); n != points {
			t.Fatalf("%d points, want %d", n, points)
		}
	}
}
