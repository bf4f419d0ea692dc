package replica

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// seal closes the active store pack, so that packs stay small and can be emptied.
func (n *node) seal() {
	n.tb.Helper()
	if err := n.store.Seal(); err != nil {
		n.tb.Fatal(err)
	}
}

// compact does what the node's compactor may be doing at the same time, now.
func (n *node) compact() {
	n.tb.Helper()
	if err := newCompactor(n.Set).round(context.Background()); err != nil {
		n.tb.Fatal(err)
	}
}

// checkCounts compares the counts of every pack with what the entries of all slots say.
func (n *node) checkCounts(volumes uint32) {
	n.tb.Helper()
	n.settle()
	m, err := n.index.NewMover()
	if err != nil {
		n.tb.Fatal(err)
	}
	defer m.Close()
	want := map[uint32]int64{}
	for v := uint32(1); v <= volumes; v++ {
		for slot := range uint64(32) {
			entries, err := m.Entries(v, slot)
			if err != nil {
				n.tb.Fatal(err)
			}
			var newer index.Slot
			for _, e := range entries {
				for i := range e.Slot {
					if at := e.Slot[i].Loc; at != (index.Loc{}) && at != newer[i].Loc {
						want[at.Pack]++
					}
				}
				newer = e.Slot
			}
		}
	}
	for no, u := range n.index.Usage() {
		if u.Live != want[no] {
			n.tb.Fatalf("pack %d has %d live blocks, %d are referred to", no, u.Live, want[no])
		}
	}
}

// TestCompactRandom empties packs between random epochs, with branches and volumes that reappear: every kept point reads
// as before, counts agree with entries, and no pack that was mostly dead is left.
func TestCompactRandom(t *testing.T) {
	for seed := range uint64(4) {
		t.Run("", func(t *testing.T) {
			t.Log("seed", seed)
			src := newSource(t, 100+seed)
			src.addVolume(600<<10 + 512)
			n := newNode(t, vfs.NewMem(), src, func(o *Options) {
				o.LandingBytes, o.CompactBytesPerSec = []int64{1, 40 << 10, 8 << 20}[seed%3], 1<<40
			})
			var keep []*sourcePoint
			for range 16 {
				src.step(len(keep) > 3, keep)
				p := src.seal()
				n.Advance(p.entry)
				n.wait(p, false)
				n.seal()
				keep = src.forget(append(keep, p), p)
				n.Reconcile(src.group, kept(keep))
				n.settle()
				n.compact()
				if src.rng.IntN(6) == 0 {
					n.close()
					n.open()
				}
				for _, p := range keep {
					n.check(p)
				}
			}
			n.compact()
			n.checkCounts(64 * 16)
			for no, u := range n.index.Usage() {
				if u.Live > 0 && u.Live*compactShare <= u.Total && n.store.Closed(no) {
					t.Errorf("pack %d has %d live blocks of %d", no, u.Live, u.Total)
				}
			}
		})
	}
}

// TestCompactFreesSpace overwrites all but a sixteenth of a volume again and again: without compaction, each old pack
// would stay for what it has of that.
func TestCompactFreesSpace(t *testing.T) {
	src := newSource(t, 21)
	v := src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, func(o *Options) { o.CompactBytesPerSec = 1 << 40 })
	var last *sourcePoint
	for i := range 16 {
		v.write(0, src.random(1<<20-i<<16))
		last = src.seal()
		n.Advance(last.entry)
		n.wait(last, false)
		n.seal()
		n.Reconcile(src.group, kept([]*sourcePoint{last}))
		n.settle()
		n.compact()
	}
	u := n.Usage()
	if u.PackBytes > 3<<20 || u.BlocksLive != 256 || u.RewrittenBytes == 0 || u.RewrittenBytes > u.WrittenBytes {
		t.Errorf("%+v for a volume of 1 MiB", u)
	}
	n.check(last)
}

// TestCompactUnderReaders reads points while the packs that hold them are emptied.
func TestCompactUnderReaders(t *testing.T) {
	src := newSource(t, 22)
	v := src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, func(o *Options) {
		o.CompactBytesPerSec, o.FrameCacheBytes = 1<<40, 1
	})
	v.write(0, src.random(1<<20))
	first := src.seal()
	n.Advance(first.entry)
	n.wait(first, false)
	n.seal()
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !done.Load() {
				q, err := n.Point(first.point)
				if err != nil {
					t.Error(err)
					return
				}
				got := make([]byte, 1<<20)
				if err := q.ReadAt(v.id, got, 0); err != nil || !slices.Equal(got, first.content[v.id]) {
					t.Errorf("the first point reads wrong: %v", err)
					return
				}
			}
		})
	}
	// Whatever is in a closed pack moves, mostly dead or not.
	for range 8 {
		for no := range n.index.Usage() {
			c := newCompactor(n.Set)
			if !n.store.Closed(no) {
				continue
			}
			if err := errors.Join(c.loadVolumes(), c.empty(context.Background(), no), n.sweep()); err != nil {
				t.Error(err)
			}
			if u := n.index.PackUsage(no); u.Live != 0 {
				t.Errorf("%d blocks stay in pack %d", u.Live, no)
			}
		}
		n.seal()
	}
	done.Store(true)
	wg.Wait()
	n.check(first)
}

// TestCompactCrash crashes before each operation of points, forgetting and compaction, and reads every kept point.
func TestCompactCrash(t *testing.T) {
	const seed = 23
	t.Log("seed", seed)
	src := newSource(t, seed)
	v := src.addVolume(256 << 10)
	rec := durabletest.New(t, seed)
	rec.Stride = 5
	n := newNode(t, rec, src, func(o *Options) { o.CompactBytesPerSec = 1 << 40 })
	var mu sync.Mutex
	var must []*sourcePoint
	rec.See = func() any {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(must)
	}
	rec.Start()
	for i := range 6 {
		v.write(0, src.random(256<<10-i<<14))
		p := src.seal()
		n.Advance(p.entry)
		n.wait(p, false)
		n.seal()
		mu.Lock()
		must = []*sourcePoint{p}
		mu.Unlock()
		n.Reconcile(src.group, kept(must))
		n.settle()
		n.compact()
	}
	crashes := rec.Stop()
	n.close()
	for _, c := range crashes {
		for _, p := range c.Seen.([]*sourcePoint) {
			m := newNode(t, c.FS, src, nil)
			m.check(p)
			m.compact()
			m.check(p)
			m.close()
		}
	}
}

// TestCompactDamaged meets a pack with a damaged frame: the pack and what refers to it stay.
func TestCompactDamaged(t *testing.T) {
	src := newSource(t, 24)
	v := src.addVolume(512 << 10)
	n := newNode(t, vfs.NewMem(), src, func(o *Options) { o.FrameCacheBytes = 1 })
	v.write(0, src.random(512<<10))
	p := src.seal()
	n.Advance(p.entry)
	n.wait(p, false)
	n.seal()
	name := n.fs.PathJoin(n.dir, "replica", "store", "00000001.pack")
	f, err := n.fs.OpenReadWrite(name, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("spoiled"), 100<<10); err != nil {
		t.Fatal(err)
	}
	c := newCompactor(n.Set)
	if err := errors.Join(c.loadVolumes(), c.empty(context.Background(), 1), n.sweep()); err != nil && !errors.Is(err, storepack.ErrDamaged) {
		t.Fatal(err)
	}
	if n.index.PackUsage(1).Live == 0 {
		t.Error("nothing refers to the damaged pack any more")
	}
	if _, err := n.fs.Stat(name); errors.Is(err, fs.ErrNotExist) {
		t.Error("the damaged pack is gone")
	}
	q, err := n.Point(p.point)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.ReadAt(v.id, make([]byte, 512<<10), 0); !errors.Is(err, storepack.ErrDamaged) {
		t.Errorf("reading what is damaged: %v", err)
	}
}

// TestDiskFillsUp takes points in while store packs can not grow: the group says that there is no space, and goes on by
// itself when there is.
func TestDiskFillsUp(t *testing.T) {
	src := newSource(t, 25)
	v := src.addVolume(1 << 20)
	var full atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWriteAt && strings.Contains(op.Path, "/store/") {
			return syscall.ENOSPC
		}
		return nil
	}))
	n := newNode(t, disk, src, nil)
	v.write(0, src.random(1<<20))
	first := src.seal()
	n.Advance(first.entry)
	n.wait(first, false)
	full.Store(true)
	v.write(4096, src.random(1<<16))
	second := src.seal()
	n.Advance(second.entry)
	for n.Err(src.group) == nil {
		runtime.Gosched()
	}
	if err := n.Err(src.group); !errors.Is(err, storepack.ErrFull) {
		t.Errorf("the group says %v", err)
	}
	n.check(first)
	full.Store(false)
	n.Retry(src.group)
	n.wait(second, false)
	n.check(first)
	n.check(second)
}
