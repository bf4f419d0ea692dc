package meta

import (
	"slices"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

func TestFounding(t *testing.T) {
	c := newCluster(t, 3)
	c.refused(&Init{Cluster: ident.ClusterID{UUID: id(1)}, Replicas: 3}, rpc.ErrExists)
	c.refused(&SetNode{Node{Name: "d", ID: "a/1", Address: "d:1"}}, rpc.ErrExists)
	c.refused(&SetNode{Node{Name: "d", ID: "d/1", Address: "a:1"}}, rpc.ErrExists)
	c.refused(&SetNode{Node{Name: "d"}}, rpc.ErrBadRequest)
	c.refused(&RemoveNode{Name: "x"}, rpc.ErrUnknown)
	empty := &cluster{t: t, s: New()}
	empty.refused(&Init{Replicas: 3}, rpc.ErrBadRequest)
	empty.refused(&OpenSession{Group: groupID(1), Gateway: id(1)}, rpc.ErrNoQuorum)
}

func TestSessions(t *testing.T) {
	c := newCluster(t, 3)
	g, ours := groupID(1), ident.ClusterID{UUID: id(100)}
	for i, step := range []struct {
		cmd  OpenSession
		term uint64
		err  error
	}{
		{OpenSession{Group: g, Gateway: id(1)}, 1, nil},
		{OpenSession{Group: g, Gateway: id(1), Cluster: ours}, 2, nil},
		{OpenSession{Group: g, Gateway: id(2)}, 0, rpc.ErrOwned},
		{OpenSession{Group: g, Gateway: id(1), Cluster: ident.ClusterID{UUID: id(9)}}, 0, rpc.ErrForeign},
		{OpenSession{Group: g, Gateway: id(2), Takeover: true}, 3, nil},
		{OpenSession{Group: g, Gateway: id(1)}, 0, rpc.ErrOwned},
		{OpenSession{Group: g}, 0, rpc.ErrBadRequest},
		{OpenSession{Gateway: id(1)}, 0, rpc.ErrBadRequest},
	} {
		if step.err != nil {
			c.refused(&step.cmd, step.err)
		} else if r := c.must(&step.cmd); r.Term != step.term {
			t.Errorf("step %d: term %d, want %d", i, r.Term, step.term)
		}
	}
	for term, want := range map[uint64]error{2: rpc.ErrStaleTerm, 3: nil, 4: rpc.ErrUnknown} {
		if err := c.s.CheckTerm(g, term); want == nil && err != nil || want != nil && err == nil {
			t.Errorf("term %d: %v, want %v", term, err, want)
		}
	}
}

func TestCommitOnce(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	first := c.next(1, 1, 2)
	made := c.must(c.command(first))
	if made.Repeat || made.Point.Number != 1 || made.Point.Point != first.Point() || made.Point.Time != 50 {
		t.Fatalf("first commit made %+v", made.Point)
	}
	before := snapshotOf(t, c.s)
	again := c.must(c.command(first))
	if !again.Repeat || again.Point != made.Point || string(before) != string(snapshotOf(t, c.s)) {
		t.Errorf("the same commit again: %+v, repeat %v", again.Point, again.Repeat)
	}
	fork := c.next(1)
	fork.Previous, fork.First, fork.End, fork.Name = ident.Point{}, 1, first.End, "other"
	c.refused(c.command(fork), rpc.ErrFork)

	skipped := c.next(1)
	skipped.Previous = ident.Point{}
	c.refused(c.command(skipped), rpc.ErrNotHead)

	stale := c.command(c.next(1))
	c.open(1, 1)
	c.refused(stale, rpc.ErrStaleTerm)

	second := c.commit(1)
	if second.Time != 51 { // the gateway's clock stood still
		t.Errorf("second point has time %d, want 51", second.Time)
	}
	if r := c.must(c.command(first)); r.Point.Number != 1 {
		t.Errorf("an old commit again has number %d", r.Point.Number)
	}
}

func TestTimelines(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	old := c.commit(1)
	onOld := c.next(1)
	c.tl = ident.Timeline{UUID: id(201)}
	fresh := c.next(1)
	fresh.First, fresh.End = 1, 5 // numbering begins anew
	head := c.must(c.command(fresh)).Point
	if head.Number != 2 {
		t.Fatalf("number %d on the second timeline", head.Number)
	}
	onOld.Previous = head.Point
	c.refused(c.command(onOld), rpc.ErrFork)
	for _, step := range []struct {
		p    ident.Point
		want bool
		err  bool
	}{{old.Point, true, false}, {head.Point, true, false}, {onOld.Point(), false, true}} {
		if got, err := c.s.Reached(step.p); got != step.want || (err != nil) != step.err {
			t.Errorf("reached %s: %v, %v", step.p, got, err)
		}
	}
	future := head.Point
	future.End++
	if got, err := c.s.Reached(future); got || err != nil {
		t.Errorf("a point to come: reached %v, %v", got, err)
	}
}

func TestAcknowledgements(t *testing.T) {
	c := newCluster(t, 4)
	c.open(1, 1)
	g, _ := c.s.Group(groupID(1))
	ack := func(replica int) Ack { return Ack{Node: g.Replicas[replica] + "/1", Freed: c.s.Freed()} }
	stranger := Ack{Node: "z/1"}
	for _, step := range []struct {
		name  string
		acks  []Ack
		masks []uint64
		err   error
	}{
		{"nobody", nil, nil, rpc.ErrBadRequest},
		{"one of three", []Ack{ack(0)}, []uint64{1}, rpc.ErrMissing},
		{"one of three, twice", []Ack{ack(0), ack(0)}, []uint64{3}, rpc.ErrMissing},
		{"one and a stranger", []Ack{ack(0), stranger}, []uint64{3}, rpc.ErrMissing},
		{"no mask bits", []Ack{ack(0), ack(1)}, []uint64{0}, rpc.ErrMissing},
		{"second pack on one", []Ack{ack(0), ack(1)}, []uint64{3, 2}, rpc.ErrMissing},
		{"three masks for two packs", []Ack{ack(0), ack(1)}, []uint64{3, 3, 3}, rpc.ErrBadRequest},
		{"different pairs", []Ack{ack(0), ack(1), ack(2)}, []uint64{3, 6}, nil},
		{"all by one mask", []Ack{ack(2), ack(1)}, []uint64{3}, nil},
	} {
		m := c.command(c.next(1, 1, 2))
		m.Acks, m.Masks = step.acks, step.masks
		t.Log(step.name)
		if step.err != nil {
			c.refused(m, step.err)
		} else {
			c.must(m)
		}
	}
}

func TestAcknowledgementsBeforeADeletion(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	m := c.command(c.next(1, 1))
	c.must(&DropPacks{Packs: []pack.ID{packID(1)}})
	c.refused(m, ErrOldAcks)
	c.must(&DropPacks{Packs: []pack.ID{packID(9)}})
	for i := range m.Acks {
		m.Acks[i].Freed = c.s.AckFloor(packID(1))
	}
	c.must(m)
	for i := range deletionsMax + 1 {
		c.must(&DropPacks{Packs: []pack.ID{{1, 1, byte(i), byte(i >> 8)}}})
	}
	m = c.command(c.next(1, 2))
	m.Acks[0].Freed, m.Acks[1].Freed = 0, 0
	c.refused(m, ErrOldAcks) // nobody knows any more whether pack 2 was among the deleted
}

func TestAnEmptyDiskAcknowledgesNothing(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	m := c.command(c.next(1, 1))
	m.Acks, m.Masks = m.Acks[:2], []uint64{3}
	c.must(&SetNode{Node{Name: m.Acks[0].Node[:1], ID: "new/2", Address: "new:1"}})
	c.refused(m, rpc.ErrMissing)
}

func TestNames(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1, 1)
	name := func(n string) Entry {
		rc := c.next(1)
		rc.Name = n
		return c.must(c.command(rc)).Point
	}
	first, second, third := name("x"), name("x"), name("x")
	if second.Name != "x-2" || third.Name != "x-3" {
		t.Errorf("names of points made under a name that is taken: %q, %q", second.Name, third.Name)
	}
	c.refused(&NamePoint{Point: second.Point, Name: "x"}, rpc.ErrExists)
	c.must(&NamePoint{Point: first.Point, Name: "x"})
	c.must(&NamePoint{Point: first.Point})
	c.must(&NamePoint{Point: second.Point, Name: "x"})
	gone := second.Point
	gone.Digest[0] ^= 1
	c.refused(&NamePoint{Point: gone, Name: "y"}, rpc.ErrUnknown)
}

func TestRetention(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1, 1)
	g := groupID(1)
	var made []Entry
	for i := range 10 {
		made = append(made, c.commit(1, byte(i+1)))
	}
	c.must(&NamePoint{Point: made[1].Point, Name: "keep me"})
	c.must(&SetRetention{Group: g, KeepLast: 3})
	pinned := func(n uint64) bool { return n == 4 }
	excess := c.s.Excess(g, 100, pinned)
	if want := []uint64{1, 3, 5, 6, 7}; !slices.Equal(excess, want) {
		t.Fatalf("excess is %v, want %v", excess, want)
	}
	if part := c.s.Excess(g, 2, pinned); len(part) != 2 {
		t.Errorf("excess limited to 2 is %v", part)
	}
	r := c.must(&Trim{Groups: []TrimGroup{{Group: g, Delete: append(excess, 2, 10)}, {Group: groupID(7), Release: 3}}})
	if len(r.Forgotten) != 1 || !slices.Equal(r.Forgotten[0].Numbers, excess) {
		t.Errorf("trimmed %v; named 2 and head 10 must stay", r.Forgotten)
	}
	if len(r.Freed) > 0 {
		t.Errorf("points that are not released freed %v", r.Freed)
	}
	kept, _ := c.s.Points(g, 0)
	chain, _ := c.s.Chain(g)
	if len(kept) != 5 || len(chain) != 10 {
		t.Errorf("%d points kept, want 5; chain of %d, want 10", len(kept), len(chain))
	}
	if n := c.s.Number(made[4].Point); n != 5 {
		t.Errorf("hidden point has number %d, want 5", n)
	}
	r = c.must(&Trim{Groups: []TrimGroup{{Group: g, Release: 8}}})
	if len(r.Freed) != 8 {
		t.Errorf("release freed %d packs, want 8", len(r.Freed))
	}
	if chain, _ = c.s.Chain(g); len(chain) != 2 || c.s.Number(made[4].Point) != 0 {
		t.Errorf("after release the chain has %d points, want 2", len(chain))
	}
	c.must(&Trim{Groups: []TrimGroup{{Group: g, Release: 5}, {Group: g, Release: 99}}})
	if i, _ := c.s.Group(g); i.Released != 8 || i.Points != 5 {
		t.Errorf("released %d with %d points, want 8 and 5", i.Released, i.Points)
	}
}

func TestDeletePoints(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1, 1)
	a, b, head := c.commit(1, 1), c.commit(1, 1), c.commit(1, 2)
	c.refused(&DeletePoints{Points: []ident.Point{a.Point, head.Point}}, rpc.ErrInUse)
	c.must(&NamePoint{Point: a.Point, Name: "n"})
	c.must(&DeletePoints{Points: []ident.Point{a.Point, a.Point}})
	c.refused(&DeletePoints{Points: []ident.Point{a.Point}}, rpc.ErrUnknown)
	if !c.s.Referenced(packID(1)) {
		t.Error("pack of a deleted point that is not released counts as unreferenced")
	}
	if r := c.must(&Trim{Groups: []TrimGroup{{Group: groupID(1), Release: 1}}}); len(r.Freed) > 0 {
		t.Errorf("released %v, which the second point needs too", r.Freed)
	}
	if r := c.must(&Trim{Groups: []TrimGroup{{Group: groupID(1), Release: 3}}}); len(r.Freed) != 2 {
		t.Errorf("released %v, want both packs", r.Freed)
	}
	c.must(&DeletePoints{Points: []ident.Point{b.Point}})
	if r := c.must(&DropPacks{Packs: []pack.ID{packID(1), packID(1)}}); len(r.Freed) != 2 {
		t.Errorf("dropped %v", r.Freed)
	}
	kept := c.commit(1, 7)
	if r := c.must(&DropPacks{Packs: []pack.ID{packID(7)}}); len(r.Freed) > 0 {
		t.Errorf("pack of point %d was dropped", kept.Number)
	}
}

func TestPlacement(t *testing.T) {
	c := newCluster(t, 1)
	c.open(1, 1)
	replicas := func() []string { g, _ := c.s.Group(groupID(1)); return g.Replicas }
	if got := replicas(); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("on one node: %v", got)
	}
	for _, n := range []string{"b", "c", "d", "e"} {
		c.must(&SetNode{Node{Name: n, ID: n + "/1", Address: n + ":1"}})
	}
	three := replicas()
	if len(three) != 3 {
		t.Fatalf("on five nodes: %v", three)
	}
	gone := three[1]
	r := c.must(&RemoveNode{Name: gone})
	now := replicas()
	if len(now) != 3 || slices.Contains(now, gone) || !slices.Contains(now, three[0]) || len(r.Changed) != 1 {
		t.Errorf("after %s left %v, the group empty: %v", gone, three, now)
	}
	c.refused(&Place{Group: groupID(1), Before: three, After: now}, rpc.ErrInUse)
	c.refused(&Place{Group: groupID(1), Before: now, After: []string{"zz"}}, rpc.ErrBadRequest)
	c.refused(&Place{Group: groupID(1), Before: now}, rpc.ErrBadRequest)
	c.must(&Place{Group: groupID(1), Before: now, After: now[:2]})
	if got := replicas(); !slices.Equal(got, now[:2]) {
		t.Errorf("placed on %v, want %v", got, now[:2])
	}
}

// TestPlacementIsEvenAndStable checks what rendezvous hashing promises.
func TestPlacementIsEvenAndStable(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	load := map[string]int{}
	moved := 0
	for i := range 2000 {
		g := ident.GroupID{UUID: ident.UUID{byte(i), byte(i >> 8)}}
		r := rank(g, names)
		for _, n := range r[:3] {
			load[n]++
		}
		four := rank(g, names[:4])
		if !slices.Equal(four, slices.DeleteFunc(slices.Clone(r), func(n string) bool { return n == "e" })) {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("%d groups changed the order of the nodes that stayed", moved)
	}
	for n, l := range load {
		if l < 1100 || l > 1300 {
			t.Errorf("node %s has %d of 6000 replicas, want about 1200", n, l)
		}
	}
}

func TestDisks(t *testing.T) {
	c := newCluster(t, 2)
	c.open(1, 1)
	d := Disk{ID: id(1), Group: groupID(1), Volume: ident.VolumeID{UUID: id(50)}, VolumeName: "v", Node: "a", Kind: "raw", Place: "/x"}
	c.must(&AddDisk{d})
	c.must(&AddDisk{d})
	same := d
	same.ID = id(2)
	c.refused(&AddDisk{same}, rpc.ErrExists)
	same.Node = "b"
	if c.s.Follows("b", groupID(3)) {
		t.Error("a node follows a group that is not")
	}
	c.must(&AddDisk{same})
	bad := same
	bad.ID, bad.Node = id(3), "z"
	c.refused(&AddDisk{bad}, rpc.ErrUnknown)
	bad.Node, bad.Group = "a", groupID(4)
	c.refused(&AddDisk{bad}, rpc.ErrUnknown)
	bad.Place = ""
	c.refused(&AddDisk{bad}, rpc.ErrBadRequest)
	if n := len(c.s.Disks()); n != 2 {
		t.Errorf("%d disks, want 2", n)
	}
	c.must(&RemoveDisk{ID: id(1)})
	c.refused(&RemoveDisk{ID: id(1)}, rpc.ErrUnknown)
}
