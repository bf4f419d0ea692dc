package raftstore

import (
	"slices"
	"testing"
	"time"

	"github.com/weirstor/weir/replicate/pack"
)

func TestStraysAreOldAndUnneeded(t *testing.T) {
	var ids []pack.ID
	var refs []pack.Ref
	for i := range 4 {
		id := pack.ID{pack.AlgSHA256, byte(i)}
		ids, refs = append(ids, id), append(refs, pack.Ref{ID: id})
	}
	needed := map[pack.ID]bool{ids[0]: true}
	isNeeded := func(id pack.ID) bool { return needed[id] }
	s := newStrays()
	now := time.Unix(1000, 0)
	if got := s.find(refs[:3], isNeeded, now, time.Hour, 10); len(got) > 0 {
		t.Errorf("strays at first sight: %v", got)
	}
	needed[ids[1]] = true
	if got := s.find(refs, isNeeded, now.Add(time.Hour), time.Hour, 10); !slices.Equal(got, ids[2:3]) {
		t.Errorf("after an hour %v, want the third alone", got)
	}
	needed[ids[1]] = false // needed in between: its hour begins anew
	if got := s.find(refs, isNeeded, now.Add(time.Hour), 0, 1); len(got) != 1 {
		t.Errorf("limited to one: %v", got)
	}
	if got := s.find(refs[3:], isNeeded, now.Add(2*time.Hour), time.Hour, 10); !slices.Equal(got, ids[3:]) {
		t.Errorf("after two hours %v, want the fourth", got)
	}
}

// TestStraysAreCollected puts packs that are never committed: they go, on every node, and one that is put again after
// that can be committed.
func TestStraysAreCollected(t *testing.T) {
	c := newTestCluster(t)
	c.strayAge = time.Millisecond
	c.startNodes(3)
	g := c.gateway()
	g.mustOpen()
	p := randomPack(1000)
	if err := g.put(p); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stray is gone everywhere", func() bool {
		for _, n := range c.nodes {
			if n.packs.Has(p.ID) {
				return false
			}
		}
		return true
	})
	next := g.next("", p)
	eventually(t, "the pack is put and committed before it is a stray again", func() bool {
		_, err := g.send(next, p)
		return err == nil
	})
}
