package meta

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
	"pgregory.net/rapid"
)

func inUseNever(uint64) bool { return false }

func TestPins(t *testing.T) {
	c := newCluster(t, 3)
	c.open(1, 1)
	first, second := c.commit(1), c.commit(1)
	c.commit(1)
	pin := Pin{ID: id(7), Point: first.Point, Owner: "gateway/g", Note: "clone c"}
	c.refused(&AddPin{Pin{ID: id(7), Point: first.Point}}, rpc.ErrBadRequest)
	c.refused(&AddPin{Pin{ID: id(7), Owner: "gateway/g", Point: ident.Point{Group: groupID(1), End: 5}}}, rpc.ErrUnknown)
	c.must(&AddPin{pin})
	c.must(&AddPin{pin})
	other := pin
	other.Point = second.Point
	c.refused(&AddPin{other}, rpc.ErrExists)
	c.refused(&DeletePoints{[]ident.Point{second.Point, first.Point}}, rpc.ErrInUse)
	c.must(&SetRule{groupID(1), Rule{Last: 1}})
	if got := c.s.Excess(groupID(1), 10, inUseNever); !slices.Equal(got, []uint64{2}) {
		t.Errorf("excess is %v with point 1 pinned", got)
	}
	if r := c.must(&Trim{[]TrimGroup{{Group: groupID(1), Delete: []uint64{1, 2}}}}); len(r.Forgotten) != 1 || !slices.Equal(r.Forgotten[0].Numbers, []uint64{2}) {
		t.Errorf("trimmed %+v", r.Forgotten)
	}
	b := snapshotOf(t, c.s)
	if back := restored(t, b); !bytes.Equal(snapshotOf(t, back), b) || len(back.Pins()) != 1 {
		t.Error("a snapshot loses the pin")
	}
	c.must(&RemovePin{id(7)})
	c.refused(&RemovePin{id(7)}, rpc.ErrUnknown)
	c.must(&DeletePoints{[]ident.Point{first.Point}})
}

// at returns a commit of the group at a time.
func (c *cluster) at(g byte, when time.Time) Entry {
	rc := c.next(g)
	rc.Time = when.UnixNano()
	return c.must(c.command(rc)).Point
}

func TestCalendarRule(t *testing.T) {
	for _, step := range []struct {
		name string
		rule Rule
		want []string // kept points, newest first
	}{
		{"last", Rule{Last: 2}, []string{"2026-03-10 12:40", "2026-03-10 12:10"}},
		{"hours", Rule{Last: 1, Hourly: 3}, []string{"2026-03-10 12:40", "2026-03-10 11:30", "2026-03-09 23:00"}},
		{"days", Rule{Last: 1, Daily: 3}, []string{"2026-03-10 12:40", "2026-03-09 23:00", "2026-03-08 10:00"}},
		{"weeks", Rule{Last: 1, Weekly: 2}, []string{"2026-03-10 12:40", "2026-03-08 10:00"}}, // the 8th is a Sunday
		{"months", Rule{Last: 1, Monthly: 3}, []string{"2026-03-10 12:40", "2026-02-28 23:59", "2025-12-31 00:00"}},
		{"years", Rule{Last: 1, Yearly: 9}, []string{"2026-03-10 12:40", "2025-12-31 00:00"}},
		{"mixed", Rule{Last: 2, Yearly: 2}, []string{"2026-03-10 12:40", "2026-03-10 12:10", "2025-12-31 00:00"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			c := newCluster(t, 3)
			c.open(1, 1)
			for _, s := range []string{"2025-12-31 00:00", "2026-02-27 10:00", "2026-02-28 23:59", "2026-03-08 10:00", "2026-03-09 23:00", "2026-03-10 11:00", "2026-03-10 11:30", "2026-03-10 12:10", "2026-03-10 12:40"} {
				when, err := time.Parse("2006-01-02 15:04", s)
				if err != nil {
					t.Fatal(err)
				}
				c.at(1, when)
			}
			c.must(&SetRule{groupID(1), step.rule})
			if c.s.RuleOf(groupID(1)) != step.rule {
				t.Errorf("rule is %+v", c.s.RuleOf(groupID(1)))
			}
			drop := c.s.Excess(groupID(1), 100, inUseNever)
			c.must(&Trim{[]TrimGroup{{Group: groupID(1), Delete: drop}}})
			kept, err := c.s.Points(groupID(1), 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range slices.Backward(kept) {
				got = append(got, time.Unix(0, e.Time).UTC().Format("2006-01-02 15:04"))
			}
			if !slices.Equal(got, step.want) {
				t.Errorf("kept %v, want %v", got, step.want)
			}
			if again := c.s.Excess(groupID(1), 100, inUseNever); len(again) > 0 {
				t.Errorf("a second look drops %v", again)
			}
		})
	}
	c := newCluster(t, 3)
	c.open(1, 1)
	c.refused(&SetRule{groupID(1), Rule{Hourly: 1}}, rpc.ErrBadRequest)
	c.refused(&SetRule{groupID(9), Rule{Last: 1}}, rpc.ErrUnknown)
}

// TestRuleKeepsWhatItPromises compares the walk with each part's definition, at random times.
func TestRuleKeepsWhatItPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rule{Last: rapid.Uint32Range(0, 3).Draw(t, "last"), Hourly: rapid.Uint32Range(0, 4).Draw(t, "hourly"),
			Daily: rapid.Uint32Range(0, 4).Draw(t, "daily"), Weekly: rapid.Uint32Range(0, 4).Draw(t, "weekly")}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var times []time.Time // newest first
		for range rapid.IntRange(1, 40).Draw(t, "points") {
			at = at.Add(-time.Duration(rapid.IntRange(1, 2000).Draw(t, "minutes")) * time.Minute)
			times = append(times, at)
		}
		k := r.keeper()
		for i, x := range times {
			want := uint32(i) < r.Last
			for _, part := range []struct {
				n  uint32
				of bucket
			}{{r.Hourly, hourOf}, {r.Daily, dayOf}, {r.Weekly, weekOf}} {
				newer := map[int]bool{}
				for _, y := range times[:i] {
					newer[part.of(y)] = true
				}
				want = want || !newer[part.of(x)] && uint32(len(newer)) < part.n
			}
			if got := k.keeps(x.UnixNano()); got != want {
				t.Fatalf("rule %+v, point %d of %v at %v: kept %v, want %v", r, i, times, x, got, want)
			}
		}
	})
}
