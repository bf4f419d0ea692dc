package meta

import (
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"pgregory.net/rapid"
)

// TestStored packs points of every shape and unpacks them.
func TestStored(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCluster(t, 1)
		c.open(1, 1)
		g := c.s.groups[groupID(1)]
		for i := range rapid.IntRange(1, 6).Draw(rt, "points") {
			if rapid.IntRange(0, 3).Draw(rt, "new timeline") == 0 {
				c.tl = ident.Timeline{UUID: id(byte(210 + i))}
			}
			rc := c.next(1, rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(rt, "packs")...)
			rc.Time = rapid.Int64().Draw(rt, "time") / 2
			rc.Name = rapid.StringN(0, 20, 40).Draw(rt, "name")
			data := string(rc.Encode())
			g.append(rc, data)
			last, _ := g.points.Max()
			p := g.unpack(last)
			if p.commit != data || p.number != g.numbers || p.time != g.headTime || last.number() != g.numbers {
				rt.Fatalf("point %d, time %d came back as %+v, want commit %x", g.numbers, g.headTime, p, data)
			}
			if short := i > 0 && rc.Previous.Timeline == rc.Timeline; short && len(last.data) > len(data)-commitHeadBytes+20 {
				rt.Fatalf("a commit of %d bytes is kept in %d", len(data), len(last.data))
			}
		}
	})
}
