package meta

import (
	"runtime"
	"testing"

	"github.com/weirstor/weir/replicate/pack"
)

// Limits that a State keeps to when it holds very many points, in bytes.
const (
	bytesPerEpochMax = 200
	bytesPerPackMax  = 40
)

// TestMemory fills a State with released points of one volume and measures what each takes beside its packs.
func TestMemory(t *testing.T) {
	const points = 6_000
	measure := func(packs int) float64 {
		c := newCluster(t, 1)
		c.must(&OpenSession{Group: groupID(1), Gateway: id(1)})
		c.term[groupID(1)] = 1
		c.must(&SetRetention{Group: groupID(1)})
		before := heap()
		for i := range points {
			rc := c.next(1)
			rc.Time = 1_800_000_000_000_000_000 + int64(i)*1_000_000_000
			for p := range packs / 2 * (1 + i%3) { // sizes differ, so that no one size class of the heap decides
				rc.Packs = append(rc.Packs, pack.Ref{ID: pack.ID{pack.AlgSHA256, byte(i), byte(i >> 8), byte(i >> 16), byte(p)}, Size: 1 << 20})
			}
			c.index++
			if r := c.s.Apply(c.index, Encode(c.command(rc))); r.Err != nil {
				t.Fatal(r.Err)
			}
			if i%100 == 99 {
				c.index++
				c.s.Apply(c.index, Encode(&Trim{Groups: []TrimGroup{{Group: groupID(1), Release: uint64(i + 1)}}}))
			}
		}
		c.s.deletions = deletions{} // of bounded size, whatever the number of packs
		after := heap()
		if g, _ := c.s.Group(groupID(1)); g.Points != points {
			t.Fatalf("%d points, want %d", g.Points, points)
		}
		return float64(after-before) / points
	}
	bare, packed := measure(0), measure(16)
	perPack := (packed - bare) / 16
	t.Logf("%.0f bytes for each epoch, %.1f for each pack", bare, perPack)
	if bare > bytesPerEpochMax {
		t.Errorf("%.0f bytes for each epoch, want at most %d", bare, bytesPerEpochMax)
	}
	if perPack > bytesPerPackMax {
		t.Errorf("%.1f bytes for each pack, want at most %d", perPack, bytesPerPackMax)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
