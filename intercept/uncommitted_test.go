package intercept

import (
	"testing"

	"github.com/weirstor/weir/intercept/ident"
)

// What was written since the last commit is told at every stage: in the current epoch, sealed, and, with replication off,
// when the base has gone on; after the commit it is not told any more.
func TestUncommitted(t *testing.T) {
	g, _ := memGroup(t)
	defer closeGroup(t, g)
	v := mustCreateVolume(t, g, "v", 1<<20)
	told := func(what string, committed ident.Seq, want ...Extent) {
		t.Helper()
		got, p, err := v.Uncommitted(0, v.Size())
		if err != nil || p.End != committed || len(got) != len(want) {
			t.Fatalf("%s: %+v since %d, %v; want %+v since %d", what, got, p.End, err, want, committed)
		}
		for i := range want {
			if got[i].Off != want[i].Off || got[i].Len != want[i].Len || got[i].Zero != want[i].Zero {
				t.Errorf("%s: %+v, want %+v", what, got[i], want[i])
			}
		}
	}
	told("nothing written", 0)
	mustWrite(t, v, 5000, fill(1, 100))
	told("written", 0, Extent{Off: 5000, Len: 100})
	first := seal(t, g, "")
	told("sealed", 0, Extent{Off: 5000, Len: 100})
	commit(t, g, next(t, g))
	told("committed", first)

	mustWrite(t, v, 100<<10, fill(2, 512))
	if err := v.Trim(200<<10, 4096, false); err != nil {
		t.Fatal(err)
	}
	written, trimmed := Extent{Off: 100 << 10, Len: 512}, Extent{Off: 200 << 10, Len: 4096, Zero: true}
	told("written and trimmed", first, written, trimmed)
	second := seal(t, g, "")
	g.SetReplication(false)
	awaitDestaged(t, g, second)
	whole := Extent{Off: 100 << 10, Len: 4096} // only the blocks are known
	got, _, err := v.Uncommitted(0, v.Size())
	if err != nil || len(got) < 1 || got[0].Off != whole.Off || got[0].Len != whole.Len {
		t.Fatalf("destaged before the commit: %+v, %v; want %+v first", got, err, whole)
	}
	if _, _, err := v.Uncommitted(1<<20, 1); err == nil {
		t.Error("a range behind the end is accepted")
	}
}
