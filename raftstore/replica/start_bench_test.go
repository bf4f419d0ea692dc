package replica

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// BenchmarkStart opens a node with store packs of 1 TiB: files of 8 MiB without content, and an index with counts for
// each and with one entry in eight of the 64 slots of 64 KiB that a pack would hold.
func BenchmarkStart(b *testing.B) {
	const packCount, slotsPerPack = 1 << 17, 8
	dir := b.TempDir()
	makeStore(b, filepath.Join(dir, "store"), packCount)
	makeIndex(b, filepath.Join(dir, "index"), packCount, slotsPerPack)
	wire, err := packs.Open(filepath.Join(dir, "packs"), packs.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var heap uint64
	for b.Loop() {
		before := heapInUse()
		s, err := Open(Options{Dir: dir, Packs: wire})
		if err != nil {
			b.Fatal(err)
		}
		heap = heapInUse() - before
		if u := s.Usage(); u.Packs != packCount {
			b.Fatalf("%d packs", u.Packs)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(heap)/packCount, "bytes/pack")
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func makeStore(b *testing.B, dir string, count int) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	for no := uint32(1); no <= uint32(count); no++ {
		f, err := os.Create(filepath.Join(dir, storepack.FileName(no)))
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Truncate(8 << 20); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func makeIndex(b *testing.B, dir string, packCount, slots int) {
	db, err := index.Open(dir, index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	src := newSource(b, 1)
	src.addVolume(1 << 20)
	p := src.seal()
	in, err := db.Begin(src.group, 1)
	if err != nil {
		b.Fatal(err)
	}
	for i := range packCount * slots {
		var older, s index.Slot
		for k := range s {
			s[k] = index.Block{Leaf: leaf.Leaf(i*16 + k + 1), Loc: index.Loc{
				Ref: storepack.Ref{Pack: uint32(i/slots + 1), At: uint32(i % slots * 40000), Len: 40000}, Block: uint8(k)}}
		}
		if err := in.PutSlot(1, uint64(i), &older, nil, &s); err != nil {
			b.Fatal(err)
		}
		if in.Len() > 8<<20 {
			if err := in.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
	err = in.Commit(&index.Point{Point: p.point, Number: 1, Commit: p.entry.Commit.Encode(),
		Volumes: []index.Volume{{ID: ident.VolumeID{UUID: ident.NewUUID()}, Number: 1, Size: 1 << 40}}})
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
}
