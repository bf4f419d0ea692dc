package meta

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"pgregory.net/rapid"
)

// modelPoint and modelGroup are what a group is, in the plainest words.
type modelPoint struct {
	point  ident.Point
	number uint64
	name   string
	packs  []pack.ID
	kept   bool
}

type modelGroup struct {
	term     uint64
	gateway  byte
	points   []modelPoint
	released uint64
}

// TestModel drives a State and the model with the same random commands.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{t: rt, c: newCluster(t, 5), groups: map[byte]*modelGroup{}}
		rt.Repeat(rapid.StateMachineActions(m))
	})
}

type machine struct {
	t      *rapid.T
	c      *cluster
	groups map[byte]*modelGroup
	log    [][]byte
}

func (m *machine) apply(cmd Command) Result {
	m.log = append(m.log, Encode(cmd))
	return m.c.do(cmd)
}

func (m *machine) pick(t *rapid.T) (byte, *modelGroup) {
	if len(m.groups) == 0 {
		t.Skip("no group yet")
	}
	n := rapid.SampledFrom(slices.Sorted(keys(m.groups))).Draw(t, "group")
	return n, m.groups[n]
}

func keys(m map[byte]*modelGroup) func(func(byte) bool) {
	return func(yield func(byte) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (m *machine) OpenSession(t *rapid.T) {
	n, gateway := rapid.ByteRange(1, 3).Draw(t, "group"), rapid.ByteRange(1, 2).Draw(t, "gateway")
	takeover := rapid.Bool().Draw(t, "takeover")
	r := m.apply(&OpenSession{Group: groupID(n), Gateway: id(gateway), Takeover: takeover})
	g := m.groups[n]
	if g != nil && g.gateway != gateway && !takeover {
		if !errors.Is(r.Err, rpc.ErrOwned) {
			t.Fatalf("another gateway got in: %v", r.Err)
		}
		return
	}
	if g == nil {
		g = &modelGroup{}
		m.groups[n] = g
	}
	g.gateway = gateway
	g.term++
	if r.Err != nil || r.Term != g.term {
		t.Fatalf("term %d, %v; want %d", r.Term, r.Err, g.term)
	}
}

func (m *machine) Commit(t *rapid.T) {
	n, g := m.pick(t)
	packs := rapid.SliceOfN(rapid.ByteRange(1, 8), 0, 3).Draw(t, "packs")
	rc := m.c.next(n, packs...)
	rc.Name = rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "name")
	stale := rapid.IntRange(0, 5).Draw(t, "stale") == 0
	m.c.term[groupID(n)] = g.term
	cmd := m.c.command(rc)
	if stale {
		cmd.Term--
	}
	r := m.apply(cmd)
	if stale {
		if !errors.Is(r.Err, rpc.ErrStaleTerm) {
			t.Fatalf("stale term: %v", r.Err)
		}
		return
	}
	if r.Err != nil || r.Repeat || r.Point.Point != rc.Point() || r.Point.Number != uint64(len(g.points)+1) {
		t.Fatalf("commit made %+v: %v", r.Point, r.Err)
	}
	p := modelPoint{point: rc.Point(), number: r.Point.Number, name: r.Point.Name, kept: true}
	for _, ref := range rc.Packs {
		p.packs = append(p.packs, ref.ID)
	}
	g.points = append(g.points, p)
}

func (m *machine) CommitAgain(t *rapid.T) {
	n, g := m.pick(t)
	if len(g.points) == 0 {
		t.Skip("no point")
	}
	head, err := m.c.s.Head(groupID(n))
	if err != nil {
		t.Fatal(err)
	}
	r := m.apply(&Commit{Group: groupID(n), Term: g.term, Data: []byte(head.Data)})
	if r.Err != nil || !r.Repeat || r.Point != head {
		t.Fatalf("head again: %+v, %v", r.Point, r.Err)
	}
}

func (m *machine) Trim(t *rapid.T) {
	n, g := m.pick(t)
	number := rapid.Uint64Range(0, uint64(len(g.points)))
	cmd := TrimGroup{Group: groupID(n), Delete: rapid.SliceOfN(number, 0, 4).Draw(t, "delete"), Release: number.Draw(t, "release")}
	for i := range g.points {
		p := &g.points[i]
		if slices.Contains(cmd.Delete, p.number) && p.name == "" && i != len(g.points)-1 {
			p.kept = false
		}
	}
	before := m.referenced()
	g.released = max(g.released, cmd.Release)
	after := m.referenced()
	r := m.apply(&Trim{Groups: []TrimGroup{cmd}})
	for id := range before {
		if freed := slices.Contains(r.Freed, id); freed == after[id] {
			t.Fatalf("pack %s: freed %v, still referenced %v", id, freed, after[id])
		}
	}
}

func (m *machine) Delete(t *rapid.T) {
	n, g := m.pick(t)
	if len(g.points) == 0 {
		t.Skip("no point")
	}
	i := rapid.IntRange(0, len(g.points)-1).Draw(t, "point")
	r := m.apply(&DeletePoints{Points: []ident.Point{g.points[i].point}})
	switch {
	case !g.points[i].kept:
		if !errors.Is(r.Err, rpc.ErrUnknown) {
			t.Fatalf("point %d of group %d is gone: %v", i, n, r.Err)
		}
	case i == len(g.points)-1:
		if !errors.Is(r.Err, rpc.ErrInUse) {
			t.Fatalf("head was deleted: %v", r.Err)
		}
	case r.Err != nil:
		t.Fatal(r.Err)
	default:
		g.points[i].kept, g.points[i].name = false, ""
	}
}

func (m *machine) Snapshot(*rapid.T) {
	b := snapshotOf(m.c.t, m.c.s)
	back := restored(m.c.t, b)
	if !bytes.Equal(snapshotOf(m.c.t, back), b) {
		m.t.Fatal("restored state gives another snapshot")
	}
	m.c.s = back
}

func (m *machine) CloneStaysAsItWas(t *rapid.T) {
	clone := m.c.s.Clone()
	before := snapshotOf(m.c.t, clone)
	if len(m.groups) > 0 {
		m.Commit(t)
		m.Trim(t)
	}
	if !bytes.Equal(before, snapshotOf(m.c.t, clone)) {
		t.Fatal("later commands changed a clone")
	}
}

// referenced is the set of packs that a point which is not released names.
func (m *machine) referenced() map[pack.ID]bool {
	set := map[pack.ID]bool{}
	for _, g := range m.groups {
		for _, p := range g.points {
			if p.number > g.released {
				for _, id := range p.packs {
					set[id] = true
				}
			}
		}
	}
	return set
}

// Check compares the State with the model after every action.
func (m *machine) Check(t *rapid.T) {
	want := m.referenced()
	for n := range byte(9) {
		if got := m.c.s.Referenced(packID(n)); got != want[packID(n)] {
			t.Fatalf("pack %d: referenced %v, want %v", n, got, want[packID(n)])
		}
	}
	for n, g := range m.groups {
		kept, err := m.c.s.Points(groupID(n), 0)
		if err != nil {
			t.Fatal(err)
		}
		var model []modelPoint
		for _, p := range g.points {
			if p.kept {
				model = append(model, p)
			}
		}
		if !slices.EqualFunc(kept, model, func(e Entry, p modelPoint) bool {
			return e.Point == p.point && e.Number == p.number && e.Name == p.name
		}) {
			t.Fatalf("group %d keeps %v, want %v", n, kept, model)
		}
		info, _ := m.c.s.Group(groupID(n))
		if info.Points != len(model) || info.Term != g.term || info.Released != g.released {
			t.Fatalf("group %d is %+v, want %d points, term %d, released %d", n, info, len(model), g.term, g.released)
		}
		times := slices.IsSortedFunc(kept, func(a, b Entry) int { return int(a.Time - b.Time) })
		if !times {
			t.Fatalf("times of group %d go back", n)
		}
	}
}

// TestSameLogSameState checks that nothing but the log decides: two States that apply it are equal, bytes and all.
func TestSameLogSameState(t *testing.T) {
	a, b := newCluster(t, 5), newCluster(t, 5)
	for _, c := range []*cluster{a, b} {
		for g := range byte(5) {
			c.open(g+1, 1)
			for p := range byte(5) {
				c.commit(g+1, p)
			}
		}
		c.must(&RemoveNode{Name: "b"})
	}
	if !bytes.Equal(snapshotOf(t, a.s), snapshotOf(t, b.s)) {
		t.Error("the same log made two states")
	}
}
