package raftstore

import (
	"testing"

	"github.com/weirstor/weir/replicate/rpc"
)

func TestOneNode(t *testing.T) {
	c := startCluster(t, 1)
	g := c.gateway()
	g.mustOpen()
	p := randomPack(5000)
	if err := g.put(p); err != nil {
		t.Fatal(err)
	}
	if n, err := g.send(g.next("", p)); err != nil || n != 1 {
		t.Fatalf("commit: number %d, %v", n, err)
	}
	last, n := g.commit("named")
	if n != 2 {
		t.Fatalf("second point has number %d", n)
	}
	if again, err := g.send(last); err != nil || again != 2 {
		t.Errorf("the same commit again: number %d, %v", again, err)
	}
	c.stop("n1")
	c.start("n1")
	points := g.points()
	if len(points) != 2 || points[1].GetName() != "named" || points[1].GetNumber() != 2 {
		t.Errorf("points after restart: %v", points)
	}
	g.commit("")
	wantErr(t, func() error { _, err := g.send(g.next("", randomPack(10))); return err }(), rpc.ErrMissing)
}

func TestThreeNodes(t *testing.T) {
	c := startCluster(t, 3)
	g := c.gateway()
	g.mustOpen()
	for range 5 {
		g.commit("")
	}
	leader := c.leader()
	c.stop(leader)
	g.commit("after the leader's death")
	if n := len(g.points()); n != 6 {
		t.Errorf("%d points, want 6", n)
	}
	c.start(leader)
	last, _ := g.commit("")
	eventually(t, "the node that was away catches up", func() bool {
		return c.nodes[leader].copies.Verified(g.group) == last.Point()
	})
}
