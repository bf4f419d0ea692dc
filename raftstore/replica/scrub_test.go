package replica

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// mustScrub scrubs without a limit.
func mustScrub(t *testing.T, n *node) ScrubReport {
	t.Helper()
	r, err := n.Scrub(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// damage overwrites bytes of a file.
func damage(t *testing.T, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1, 2, 3}, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestScrubNamesPointsAndRanges damages what two of three points show: scrub names the two, and the range, and nothing
// else; a pack that is gone, with all that lay in it; what is repaired by being written again, not any more.
func TestScrubNamesPointsAndRanges(t *testing.T) {
	mem := vfs.NewMem()
	src := newSource(t, 36)
	v := src.addVolume(1 << 20)
	n := newNode(t, mem, src, func(o *Options) { o.FrameCacheBytes = 1 })
	v.write(0, src.random(64<<10))
	v.write(512<<10, src.random(64<<10))
	first := src.seal()
	v.write(256<<10, src.random(4096))
	second := src.seal()
	v.write(0, src.random(64<<10))
	third := src.seal()
	for _, p := range []*sourcePoint{first, second, third} {
		n.Advance(p.entry)
		n.wait(p, false)
	}
	if r := mustScrub(t, n); len(r.Damages) != 0 || r.Packs == 0 || r.Bytes == 0 {
		t.Fatalf("scrub of a sound store: %+v", r)
	}
	n.close()
	damage(t, mem, "node/replica/store/00000001.pack", 5000)
	n.open()
	r := mustScrub(t, n)
	if len(r.Damages) != 1 {
		t.Fatalf("damages %+v, want one", r.Damages)
	}
	d := r.Damages[0]
	if d.Volume != v.id || d.Group != src.group || d.Off != 0 || d.Len != 64<<10 || !slices.Equal(d.Points, []ident.Point{first.point, second.point}) || !errors.Is(d.Err, storepack.ErrDamaged) {
		t.Errorf("damage %+v, want the first 64 KiB at %v and %v", d, first.point, second.point)
	}
	n.check(third)
	n.Reconcile(src.group, []Entry{third.entry})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		_, err1 := n.Point(first.point)
		_, err2 := n.Point(second.point)
		if err1 != nil && err2 != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("points that are not kept are not forgotten")
		}
	}
	if r := mustScrub(t, n); len(r.Damages) != 0 {
		t.Errorf("damage of points that are gone: %+v", r.Damages)
	}
	n.close()
	names, err := mem.List("node/replica/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := mem.Remove("node/replica/store/" + name); err != nil {
			t.Fatal(err)
		}
	}
	n.open()
	r = mustScrub(t, n)
	var lost int64
	for _, d := range r.Damages {
		lost += d.Len
		if !slices.Equal(d.Points, []ident.Point{third.point}) || !errors.Is(d.Err, storepack.ErrNotFound) {
			t.Errorf("damage %+v", d)
		}
	}
	if lost != 64<<10+64<<10+4096 {
		t.Errorf("%d bytes are lost, scrub names %d: %+v", 132<<10, lost, r.Damages)
	}
}

func TestScrubKeepsItsPace(t *testing.T) {
	p := pace{rate: 1}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := p.spend(ctx, 1<<40); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a terabyte at a byte a second: %v", err)
	}
	fast := pace{}
	if err := fast.spend(t.Context(), 1<<40); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// TestScrubRepairs from a peer what it can: every point reads right again, and a second scrub finds nothing.
func TestScrubRepairs(t *testing.T) {
	mem := vfs.NewMem()
	src := newSource(t, 37)
	v := src.addVolume(1<<20 + 512)
	good := newNode(t, vfs.NewMem(), src, nil)
	n := newNode(t, mem, src, func(o *Options) { o.FrameCacheBytes, o.Peer = 1, &peer{good} })
	points := []*sourcePoint{}
	for range 4 {
		v.write(0, src.random(100<<10))
		v.write(1<<20-8192, src.random(8192+512))
		src.mutate(10)
		points = append(points, src.seal())
	}
	for _, p := range points {
		for _, x := range []*node{good, n} {
			x.Advance(p.entry)
			x.wait(p, false)
		}
	}
	n.close()
	names, err := mem.List("node/replica/store")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		for off := int64(100); off < 200<<10; off += 20 << 10 {
			damage(t, mem, "node/replica/store/"+name, off)
		}
	}
	n.open()
	r := mustScrub(t, n)
	if len(r.Damages) != 0 || r.Repaired == 0 {
		t.Errorf("%d bytes are repaired, left: %+v", r.Repaired, r.Damages)
	}
	n.close()
	n.open()
	if r := mustScrub(t, n); len(r.Damages) != 0 || r.Repaired != 0 {
		t.Errorf("a second scrub repairs %d bytes, and leaves %+v", r.Repaired, r.Damages)
	}
	for _, p := range points {
		n.check(p)
	}
}
