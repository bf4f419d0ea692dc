package index

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// benchIndex fills a database with points that each wrote 4 of 1024 slots.
func benchIndex(b *testing.B, dir string, g ident.GroupID, points int) {
	db, err := Open(dir, Options{FS: vfs.Default})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	now := make([]Slot, 1024)
	for n := uint64(1); n <= uint64(points); n++ {
		k := &Intake{d: db, group: g, number: n, batch: db.db.NewBatch(), usage: usageDelta{}, changed: map[uint32][]uint64{},
			parts: map[uint32]uint32{}}
		for range 4 {
			slot := rng.Uint64N(1024)
			older := now[slot]
			now[slot][rng.IntN(SlotBlocks)] = Block{Leaf: leaf.Leaf(1 + rng.Uint64N(1<<62)),
				Loc: Loc{Ref: storepack.Ref{Pack: uint32(1 + n/1000), At: uint32(16 + n), Len: 4000}}}
			if err := k.PutSlot(1, slot, &older, nil, &now[slot]); err != nil {
				b.Fatal(err)
			}
		}
		if err := k.putLists(); err != nil {
			b.Fatal(err)
		}
		p := samplePoint()
		p.Group, p.Number = g, n
		if err := k.batch.Set(pointKey(g, n), EncodePoint(p), nil); err != nil {
			b.Fatal(err)
		}
		if err := k.commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
		if err := k.batch.Close(); err != nil {
			b.Fatal(err)
		}
	}
	// As after some time of running: nothing to replay, nothing left to compact.
	if err := db.db.Compact(b.Context(), []byte{0}, []byte{255}, false); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPoints opens an index with many points, and looks slots up at random ones.
func BenchmarkPoints(b *testing.B) {
	for _, points := range []int{10, 1000, 100000} {
		dir := b.TempDir()
		g := ident.GroupID{UUID: ident.NewUUID()}
		benchIndex(b, dir, g, points)
		b.Run(fmt.Sprintf("open/points=%d", points), func(b *testing.B) {
			for b.Loop() {
				db, err := Open(dir, Options{FS: vfs.Default})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := db.Newest(g); err != nil {
					b.Fatal(err)
				}
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, cache := range []int64{32 << 20, 512 << 20} {
			b.Run(fmt.Sprintf("lookup/points=%d/cache=%dM", points, cache>>20), func(b *testing.B) {
				benchLookup(b, dir, points, cache)
			})
		}
	}
}

// benchLookup looks up random slots at random points.
func benchLookup(b *testing.B, dir string, points int, cache int64) {
	db, err := Open(dir, Options{FS: vfs.Default, CacheBytes: cache})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(2, 2))
	var s Slot
	for b.Loop() {
		r, err := db.NewReader()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Lookup(1, rng.Uint64N(1024), 1+rng.Uint64N(uint64(points)), &s); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
