package meta

import (
	"bytes"
	"errors"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
)

// id returns a UUID that is the same in every run.
func id(n byte) ident.UUID { return ident.UUID{0: 0xaa, 15: n} }

func groupID(n byte) ident.GroupID { return ident.GroupID{UUID: id(n)} }

func packID(n byte) pack.ID { return pack.ID{0: pack.AlgSHA256, 32: n} }

// cluster drives a State as a Raft log would.
type cluster struct {
	t     testing.TB
	s     *State
	index uint64
	term  map[ident.GroupID]uint64
	tl    ident.Timeline
}

// newCluster returns a founded cluster of nodes a, b, c, … with three replicas of each group.
func newCluster(t testing.TB, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t, s: New(), term: map[ident.GroupID]uint64{}, tl: ident.Timeline{UUID: id(200)}}
	c.must(&Init{Cluster: ident.ClusterID{UUID: id(100)}, Replicas: 3, KeepLast: 24})
	for i := range nodes {
		name := string(rune('a' + i))
		c.must(&SetNode{Node{Name: name, ID: name + "/1", Address: name + ":1"}})
	}
	return c
}

// do applies a command and checks that its encoding is read back.
func (c *cluster) do(cmd Command) Result {
	c.t.Helper()
	b := Encode(cmd)
	back, err := Decode(b)
	if err != nil || !bytes.Equal(Encode(back), b) {
		c.t.Fatalf("%T does not survive its encoding: %v", cmd, err)
	}
	c.index++
	return c.s.Apply(c.index, b)
}

func (c *cluster) must(cmd Command) Result {
	c.t.Helper()
	r := c.do(cmd)
	if r.Err != nil {
		c.t.Fatalf("%T: %v", cmd, r.Err)
	}
	return r
}

func (c *cluster) refused(cmd Command, want error) Result {
	c.t.Helper()
	before := snapshotOf(c.t, c.s)
	r := c.do(cmd)
	if !errors.Is(r.Err, want) {
		c.t.Errorf("%T: error is %v, want %v", cmd, r.Err, want)
	}
	if !bytes.Equal(before, snapshotOf(c.t, c.s)) {
		c.t.Errorf("%T was refused and changed the state", cmd)
	}
	return r
}

func (c *cluster) open(g, gateway byte) {
	c.t.Helper()
	c.term[groupID(g)] = c.must(&OpenSession{Group: groupID(g), Gateway: id(gateway), GatewayName: "gw"}).Term
}

// next returns the commit that comes after a group's head.
func (c *cluster) next(g byte, packs ...byte) *replicate.Commit {
	head, err := c.s.Head(groupID(g))
	if err != nil {
		c.t.Fatal(err)
	}
	end := ident.Seq(10)
	if !head.Point.IsZero() {
		end = head.Point.End + 10
	}
	rc := &replicate.Commit{
		Group: groupID(g), Timeline: c.tl, Previous: head.Point, First: end - 9, End: end, Time: 50,
		Volumes: []replicate.VolumeState{{
			Volume: ident.VolumeID{UUID: id(50)}, Name: "v", Size: 1 << 30, BlockSize: 512, State: leaf.State{Lo: uint64(end)},
		}},
	}
	for _, p := range packs {
		rc.Packs = append(rc.Packs, pack.Ref{ID: packID(p), Size: 1000})
	}
	return rc
}

// command wraps a commit with the acknowledgement of all replicas.
func (c *cluster) command(rc *replicate.Commit) *Commit {
	m := &Commit{Group: rc.Group, Term: c.term[rc.Group], Data: rc.Encode()}
	g, err := c.s.Group(rc.Group)
	if err != nil {
		return m
	}
	for _, n := range g.Replicas {
		node, _ := c.s.Node(n)
		m.Acks = append(m.Acks, Ack{Node: node.ID, Freed: c.s.Freed()})
	}
	if len(rc.Packs) > 0 {
		m.Masks = []uint64{1<<len(m.Acks) - 1}
	}
	return m
}

func (c *cluster) commit(g byte, packs ...byte) Entry {
	c.t.Helper()
	return c.must(c.command(c.next(g, packs...))).Point
}

func snapshotOf(t testing.TB, s *State) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("snapshot: wrote %d of %d bytes: %v", b.Len(), n, err)
	}
	return b.Bytes()
}

func restored(t testing.TB, b []byte) *State {
	t.Helper()
	s, err := Restore(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
