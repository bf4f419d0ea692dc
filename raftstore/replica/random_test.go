package replica

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
	"github.com/weirstor/weir/target"
	"pgregory.net/rapid"
)

// kept returns the entries of the points that the test keeps.
func kept(points []*sourcePoint) []Entry {
	out := make([]Entry, len(points))
	for i, p := range points {
		out[i] = p.entry
	}
	return out
}

// settle waits until no worker has anything to do, which they can not say before they know the disks.
func (n *node) settle() {
	for !n.Set.disksKnown() {
		runtime.Gosched()
	}
	q := &n.Set.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) > 0 || len(q.busy) > 0 {
		q.wake.Wait()
	}
}

// TestRandomEpochs takes random epochs in, with a landing so small that most points are written in parts, forgets
// random points, goes back to earlier ones, reopens, and compares every kept point with the source's memory.
func TestRandomEpochs(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4, 5, 6} {
		t.Run("", func(t *testing.T) {
			t.Log("seed", seed)
			src := newSource(t, seed)
			src.addVolume(600<<10 + 512)
			n := newNode(t, vfs.NewMem(), src, func(o *Options) { o.LandingBytes = []int64{1, 40 << 10, 8 << 20}[seed%3] })
			var keep []*sourcePoint
			for range 14 {
				src.step(len(keep) > 3, keep)
				p := src.seal()
				n.Advance(p.entry)
				n.wait(p, false)
				keep = append(keep, p)
				if src.rng.IntN(3) == 0 {
					keep = src.forget(keep, p)
					n.Reconcile(src.group, kept(keep))
					n.settle()
				}
				if src.rng.IntN(6) == 0 {
					n.close()
					n.open()
				}
				for _, p := range keep {
					n.check(p)
				}
			}
			for _, p := range src.points {
				if !slices.Contains(keep, p) {
					n.gone(p)
				}
			}
		})
	}
}

// step makes random changes for the next point.
func (s *source) step(mayGoBack bool, keep []*sourcePoint) {
	switch s.rng.IntN(8) {
	case 0:
		s.addVolume(int64(1+s.rng.IntN(700)) * 512)
	case 1:
		if len(s.volumes) > 1 {
			s.dropVolume(s.rng.IntN(len(s.volumes)))
		}
	case 2:
		v := s.volumes[s.rng.IntN(len(s.volumes))]
		v.grow(int64(len(v.content)) + int64(1+s.rng.IntN(300))*512)
	case 3:
		if mayGoBack {
			s.back(keep[s.rng.IntN(len(keep))])
		}
	}
	s.mutate(s.rng.IntN(8))
}

// forget drops random points but the newest and the one that the source builds on.
func (s *source) forget(keep []*sourcePoint, newest *sourcePoint) []*sourcePoint {
	return slices.DeleteFunc(slices.Clone(keep), func(p *sourcePoint) bool {
		return p != newest && p.point != s.head && s.rng.IntN(2) == 0
	})
}

// TestKeptBeforeDisksAreKnown takes a point in between a Reconcile and the time when disks are known and points can be
// forgotten: it is not one of those to be forgotten, then or later.
func TestKeptBeforeDisksAreKnown(t *testing.T) {
	src := newSource(t, 11)
	v := src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	var points []*sourcePoint
	next := func() *sourcePoint {
		v.write(0, src.random(4096))
		points = append(points, src.seal())
		p := points[len(points)-1]
		n.Advance(p.entry)
		n.wait(p, false)
		return p
	}
	next()
	n.close()
	n.openWithoutDisks()
	n.Reconcile(src.group, kept(points))
	p := next()
	n.SetDisks(nil)
	n.settle()
	next()
	next()
	n.settle()
	n.check(p)
}

// TestSpaceComesBack keeps only the newest of many points that overwrite the same blocks.
func TestSpaceComesBack(t *testing.T) {
	src := newSource(t, 9)
	v := src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	for range 14 {
		v.write(0, src.random(1<<20))
		p := src.seal()
		n.Advance(p.entry)
		n.wait(p, false)
		n.Reconcile(src.group, kept([]*sourcePoint{p}))
		n.settle()
	}
	if u := n.Usage(); u.BlocksLive != 256 || u.PackBytes > 10<<20 {
		t.Fatalf("%+v for a volume of 1 MiB", u)
	}
	n.check(src.points[len(src.points)-1])
}

func TestLeftGroupIsDropped(t *testing.T) {
	src := newSource(t, 10)
	src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	for range 3 {
		src.mutate(5)
		p := src.seal()
		n.Advance(p.entry)
		n.wait(p, false)
	}
	n.Reconcile(src.group, nil)
	n.settle()
	for _, p := range src.points {
		n.gone(p)
	}
	if u := n.Usage(); u.BlocksLive != 0 || !n.Verified(src.group).IsZero() {
		t.Fatalf("%+v, verified %v", u, n.Verified(src.group))
	}
	n.Reconcile(src.group, kept(src.points))
	n.wait(src.points[2], false)
	for _, p := range src.points {
		n.check(p)
	}
}

type kepts []*sourcePoint

// TestCrash crashes before each operation while points are taken in and forgotten. Every point that was offered before
// the crash and is kept reads back whole after it; taking in goes on where it was.
func TestCrash(t *testing.T) {
	const seed = 21
	t.Log("seed", seed)
	src := newSource(t, seed)
	src.addVolume(200 << 10)
	rec := durabletest.New(t, seed)
	rec.Stride = 3
	var mu sync.Mutex
	var now kepts
	rec.See = func() any {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	n := newNode(t, rec, src, func(o *Options) { o.LandingBytes, o.Workers = 30<<10, 1 })
	rec.Start()
	var keep []*sourcePoint
	for i := range 8 {
		src.mutate(3)
		p := src.seal()
		keep = append(keep, p)
		n.Advance(p.entry)
		n.wait(p, false)
		if i%3 == 2 {
			keep = keep[1:]
		}
		mu.Lock()
		now = slices.Clone(keep)
		mu.Unlock()
		if i%3 == 2 {
			n.Reconcile(src.group, kept(keep))
			n.settle()
		}
	}
	crashes := rec.Stop()
	n.close()
	for _, c := range crashes {
		after(t, src, c)
	}
}

// after opens what a crash left, compares it, and goes on from there.
func after(t *testing.T, src *source, c durabletest.Crash) {
	t.Helper()
	n := newNode(t, c.FS, src, nil)
	for _, p := range c.Seen.(kepts) {
		n.check(p)
	}
	for _, p := range src.points {
		if _, err := n.Point(p.point); err == nil {
			n.check(p) // taken in, not told before the crash; or not forgotten yet
		} else if !errors.Is(err, ErrNotIngested) {
			t.Fatalf("operation %d, point %d: %v", c.Op, p.entry.Number, err)
		}
	}
	for _, p := range src.points {
		n.Advance(p.entry)
	}
	last := src.points[len(src.points)-1]
	n.wait(last, false)
	n.check(last)
	n.Reconcile(src.group, kept([]*sourcePoint{last}))
	n.settle()
	n.check(last)
	n.close()
}

// TestRangesJoin checks that an error's ranges are bounded and lose nothing.
func TestRangesJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ranges
		type span struct{ off, n int64 }
		var all []span
		for range rapid.IntRange(0, 6000).Draw(t, "n") {
			s := span{int64(len(all)*7919%6007) * 100000, 4096}
			all = append(all, s)
			r.add(s.off, s.n)
		}
		list := r.extents()
		if len(list) > rangesMax {
			t.Fatalf("%d ranges", len(list))
		}
		for _, s := range all {
			if !slices.ContainsFunc(list, func(e target.Extent) bool { return e.Off <= s.off && s.off+s.n <= e.Off+e.Len }) {
				t.Fatalf("%+v is lost", s)
			}
		}
	})
}
