package meta

import (
	"slices"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

func (c *cluster) placed(g byte) (replicas, joining []string) {
	c.t.Helper()
	i, err := c.s.Group(groupID(g))
	if err != nil {
		c.t.Fatal(err)
	}
	return i.Replicas, i.Joining
}

func (c *cluster) addNode(name, id string) Result {
	c.t.Helper()
	return c.must(&SetNode{Node{Name: name, ID: id, Address: id + ":1"}})
}

// TestPlacementWithContent is G4: a node counts for a group only once it holds it.
func TestPlacementWithContent(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1, 1)
	c.commit(1, 1)
	c.refused(&SetNode{Node{Name: "a", ID: "a/2", Address: "x:1"}}, rpc.ErrInUse)
	c.addNode("b", "b/1")
	c.addNode("c", "c/1")
	replicas, joining := c.placed(1)
	if !slices.Equal(replicas, []string{"a"}) || len(joining) != 2 || !c.s.Follows("b", groupID(1)) {
		t.Fatalf("on %v, joining %v; want a, and b and c to join", replicas, joining)
	}
	c.refused(&RemoveNode{Name: "a"}, rpc.ErrInUse)
	for _, n := range []string{"b", "c"} {
		c.must(c.s.Promotion(groupID(1), n))
	}
	replicas, joining = c.placed(1)
	if len(replicas) != 3 || len(joining) != 0 {
		t.Fatalf("after both hold it: on %v, joining %v", replicas, joining)
	}
	if c.s.Promotion(groupID(1), "b") != nil {
		t.Error("a replica is promoted again")
	}
	c.addNode("b", "b/2")
	if replicas, joining = c.placed(1); !slices.Equal(joining, []string{"b"}) || len(replicas) != 2 {
		t.Errorf("b came back with an empty disk: on %v, joining %v", replicas, joining)
	}
	c.must(&RemoveNode{Name: "b"})
	c.must(&RemoveNode{Name: "c"})
	if replicas, joining = c.placed(1); !slices.Equal(replicas, []string{"a"}) || len(joining) != 0 {
		t.Errorf("b and c left: on %v, joining %v", replicas, joining)
	}
}

// TestRebalance adds nodes to a full cluster: groups move to the nodes that they prefer, one node at a time, and never
// are on fewer than three or more than four.
func TestRebalance(t *testing.T) {
	c := newCluster(t, 3)
	for g := range byte(40) {
		c.open(g+1, 1)
		c.commit(g+1, 1)
	}
	for _, n := range []string{"d", "e", "f"} {
		c.addNode(n, n+"/1")
	}
	for g := range byte(40) {
		for {
			replicas, joining := c.placed(g + 1)
			if n := len(replicas); n < 3 || n > 4 {
				t.Fatalf("group %d is on %v", g, replicas)
			}
			if relief := c.s.Relief(groupID(g + 1)); relief != nil {
				if len(joining) > 0 && c.s.Promotion(groupID(g+1), joining[0]) != nil {
					t.Fatalf("group %d on %v would get a fifth replica", g, replicas)
				}
				c.must(relief)
				continue
			}
			if len(joining) == 0 {
				break
			}
			c.must(c.s.Promotion(groupID(g+1), joining[0]))
		}
		replicas, _ := c.placed(g + 1)
		ideal := c.s.Ideal(groupID(g + 1))
		slices.Sort(ideal)
		got := slices.Sorted(slices.Values(replicas))
		if !slices.Equal(got, ideal) {
			t.Errorf("group %d ends on %v, want %v", g, got, ideal)
		}
	}
}

func TestPlaceKeepsContent(t *testing.T) {
	c := newCluster(t, 5)
	c.open(1, 1)
	c.commit(1, 1)
	before, _ := c.placed(1)
	var others []string
	for _, n := range c.s.Nodes() {
		if !slices.Contains(before, n.Name) {
			others = append(others, n.Name)
		}
	}
	c.refused(&Place{Group: groupID(1), Before: before, After: others}, rpc.ErrBadRequest)
	c.must(&Place{Group: groupID(1), Before: before, After: append(others, before[0])})
	if got := c.s.Promotion(ident.GroupID{}, "a"); got != nil {
		t.Errorf("promotion in a group that is not: %v", got)
	}
}
