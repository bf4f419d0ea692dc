package packs

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
	"github.com/weirstor/weir/replicate/pack"
	"pgregory.net/rapid"
)

func put(tb testing.TB, s *Store, p pack.Pack) {
	tb.Helper()
	if err := s.Put(p.ID, p.Bytes); err != nil {
		tb.Fatal(err)
	}
}

func remove(tb testing.TB, s *Store, id pack.ID) {
	tb.Helper()
	if err := s.Delete(id); err != nil {
		tb.Fatal(err)
	}
}

// TestSharedSync holds the first fdatasync back until nine more packs wait: one more fdatasync is enough for them.
func TestSharedSync(t *testing.T) {
	var syncs atomic.Int32
	var held atomic.Pointer[chan struct{}]
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData {
			syncs.Add(1)
			if c := held.Load(); c != nil {
				<-*c
			}
		}
		return nil
	}))
	s := open(t, fs, Options{})
	put(t, s, makePack(t, "the first makes a segment"))
	before := syncs.Load()
	gate := make(chan struct{})
	held.Store(&gate)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { put(t, s, makePack(t, fmt.Sprint(i))) })
	}
	for waiting := 0; waiting < 9; {
		s.landing.mu.Lock()
		waiting = len(s.landing.waiting)
		s.landing.mu.Unlock()
	}
	close(gate)
	wg.Wait()
	if got := syncs.Load() - before; got > 2 {
		t.Errorf("10 packs took %d syncs", got)
	}
}

// TestSegmentsAreUsedAgain keeps few packs at a time: so must the files.
func TestSegmentsAreUsedAgain(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{segmentBytes: 4096})
	long := makePack(t, "stays")
	put(t, s, long)
	var last []pack.ID
	for i := range 1000 {
		p := makePack(t, fmt.Sprint("number ", i))
		put(t, s, p)
		if last = append(last, p.ID); len(last) > 5 {
			remove(t, s, last[0])
			last = last[1:]
		}
	}
	names, err := fs.List("packs/landing")
	if err != nil || len(names) > sealedMin+sparesMax+2 {
		t.Errorf("%d files, %v", len(names), err)
	}
	want := append(last, long.ID)
	for round := range 2 {
		if n, _ := s.Usage(); n < len(want) || round == 0 && n > len(want) {
			t.Errorf("%d packs, want %d", n, len(want))
		}
		for _, id := range want {
			if _, err := s.Get(id); err != nil {
				t.Error(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, fs, Options{segmentBytes: 4096})
	}
}

// TestLandingDamage spoils what is on disk and opens the store: what can be read is there, and the rest is told of.
func TestLandingDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     int64 // from the second of three packs
		gone   int
		logged string
	}{
		{"the head of a record", 0, 1, "segment of the landing log is damaged"},
		{"the bytes of a pack", recordHeadBytes + 20, 1, "damaged pack"},
		{"the head of the segment", -1, 3, "the packs of a segment are lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			var log bytes.Buffer
			opt := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			s := open(t, fs, opt)
			packs := []pack.Pack{makePack(t, "one"), makePack(t, "two"), makePack(t, "three")}
			for _, p := range packs {
				put(t, s, p)
			}
			at := int64(3)
			if c.at >= 0 {
				at = int64(s.have[packs[1].ID].place.at) + c.at
			}
			if _, err := s.landing.active.f.WriteAt([]byte("spoiled"), at); err != nil {
				t.Fatal(err)
			}
			s = open(t, fs, opt)
			gone := 0
			for _, p := range packs {
				if !s.Has(p.ID) {
					gone++
				}
				put(t, s, p)
				if _, err := s.Get(p.ID); err != nil {
					t.Error(err)
				}
			}
			if gone != c.gone || !strings.Contains(log.String(), c.logged) {
				t.Errorf("%d packs are gone, want %d; log: %s", gone, c.gone, log.String())
			}
		})
	}
}

// TestTornEnd cuts a segment off within its last pack, as a crash does before the fdatasync: nothing is amiss.
func TestTornEnd(t *testing.T) {
	h := segmentHead{no: 7, incarnation: 99}
	b := h.append(nil)
	for i, text := range []string{"one", "two"} {
		p := makePack(t, text)
		b = appendRecord(b, h.seed(), record{kind: recordPack, id: p.ID, synced: uint32(len(b))}, p.Bytes)
		if i == 1 {
			b = b[:len(b)-recordAlign]
		}
	}
	records, gaps, synced := scan(b, h)
	if len(records) != 2 || !records[0].whole || records[1].whole || len(gaps) > 0 || records[1].at < synced {
		t.Errorf("%+v, gaps %v, synced %d", records, gaps, synced)
	}
	h.incarnation++
	if records, _, _ := scan(b, h); len(records) > 0 {
		t.Errorf("records of another incarnation: %+v", records)
	}
}

// TestLandingCrash crashes before each operation while packs come and go, through many uses of few segments.
func TestLandingCrash(t *testing.T) {
	const seed = 12
	t.Log("seed", seed)
	rec := durabletest.New(t, seed)
	var mu sync.Mutex
	must := map[pack.ID]bool{}
	rec.See = func() any {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(must)
	}
	rec.Start()
	s := open(t, rec, Options{segmentBytes: 4096})
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 60 {
				p := makePack(t, fmt.Sprint("worker ", w, " pack ", i))
				put(t, s, p)
				mu.Lock()
				must[p.ID] = true
				mu.Unlock()
				if i%8 == 0 {
					continue
				}
				mu.Lock()
				delete(must, p.ID)
				mu.Unlock()
				remove(t, s, p.ID)
			}
		})
	}
	wg.Wait()
	checkCrashes(t, rec.Stop())
}

// TestLandingModel compares the store with a set while packs come and go and the store is opened again.
func TestLandingModel(t *testing.T) {
	all := make([]pack.Pack, 40)
	for i := range all {
		all[i] = makePack(t, strings.Repeat(fmt.Sprint("pack ", i), 1+i*20))
	}
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		opt := Options{segmentBytes: 16 << 10}
		s := open(t, fs, opt)
		want := map[pack.ID]bool{}
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			p := all[rapid.IntRange(0, len(all)-1).Draw(rt, "pack")]
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = open(t, fs, opt)
				for _, r := range s.List() { // a deleted pack may be back
					if _, err := s.Get(r.ID); err != nil {
						rt.Fatal(err)
					}
					want[r.ID] = true
				}
			case 1, 2, 3, 4:
				remove(t, s, p.ID)
				delete(want, p.ID)
			default:
				put(t, s, p)
				want[p.ID] = true
			}
			if n, _ := s.Usage(); n != len(want) {
				rt.Fatalf("%d packs, want %d", n, len(want))
			}
			for id := range want {
				if _, err := s.Get(id); err != nil {
					rt.Fatal(err)
				}
			}
		}
	})
}

// TestCleanRestart: deletions of a store that was closed are not forgotten.
func TestCleanRestart(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	gone, stays := makePack(t, "gone"), makePack(t, "stays")
	put(t, s, gone)
	put(t, s, stays)
	remove(t, s, gone.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, Options{})
	if s.Has(gone.ID) || !s.Has(stays.ID) {
		t.Errorf("has what was deleted: %v, has the other: %v", s.Has(gone.ID), s.Has(stays.ID))
	}
}

func FuzzScan(f *testing.F) {
	h := segmentHead{no: 1, incarnation: 5, before: 3, beforeEnd: 128}
	w := pack.NewWriter(pack.Wire)
	if _, err := w.Append(1, []byte("payload")); err != nil {
		f.Fatal(err)
	}
	p := w.Finish()
	b := h.append(nil)
	b = appendRecord(b, h.seed(), record{kind: recordPack, id: p.ID, synced: 64}, p.Bytes)
	b = appendRecord(b, h.seed(), record{kind: recordDeleted, id: p.ID, synced: 64}, nil)
	f.Add(b)
	f.Add(b[:100])
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseSegmentHead(b, 1)
		if err != nil {
			h = segmentHead{no: 1, incarnation: 5}
		}
		records, gaps, _ := scan(b, h)
		end := uint32(segmentHeadBytes)
		for _, r := range records {
			if r.at < end || r.whole && int(r.at)+recordHeadBytes+int(r.size) > len(b) {
				t.Fatalf("record %+v of %d bytes, before it ends at %d", r, len(b), end)
			}
			end = r.at + uint32(space(int(r.size)))
		}
		for _, g := range gaps {
			if g.from >= g.to {
				t.Fatalf("gap %+v", g)
			}
		}
	})
}
