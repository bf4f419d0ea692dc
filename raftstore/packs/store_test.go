package packs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
	"github.com/weirstor/weir/replicate/pack"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func makePack(tb testing.TB, frames ...string) pack.Pack {
	tb.Helper()
	w := pack.NewWriter(pack.Wire)
	for _, f := range frames {
		if _, err := w.Append(1, []byte(f)); err != nil {
			tb.Fatal(err)
		}
	}
	return w.Finish()
}

func open(tb testing.TB, fs vfs.FS, opt Options) *Store {
	tb.Helper()
	opt.FS = fs
	s, err := Open("packs", opt)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestPutGet(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	p := makePack(t, "one", "two")
	for range 2 {
		if err := s.Put(p.ID, p.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Store{s, open(t, fs, Options{})} {
		b, err := s.Get(p.ID)
		if err != nil || !bytes.Equal(b, p.Bytes) {
			t.Fatalf("got %d bytes, %v", len(b), err)
		}
		f, err := s.ReadFrame(p.ID, pack.HeaderBytes+pack.FrameHeadBytes+3)
		if err != nil || string(f.Payload) != "two" {
			t.Fatalf("frame is %q, %v", f.Payload, err)
		}
		if n, size := s.Usage(); n != 1 || size != int64(p.Size) {
			t.Fatalf("usage %d, %d", n, size)
		}
		if l := s.List(); len(l) != 1 || l[0] != p.Ref {
			t.Fatalf("list %v", l)
		}
	}
	for range 2 {
		if err := s.Delete(p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(p.ID); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if n, size := s.Usage(); n != 0 || size != 0 || s.Has(p.ID) {
		t.Fatalf("usage %d, %d", n, size)
	}
}

func TestRefused(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{BytesMax: 200})
	p, other := makePack(t, "one"), makePack(t, "other")
	if err := s.Put(p.ID, other.Bytes); !errors.Is(err, pack.ErrCorrupt) {
		t.Errorf("a pack under a wrong name: %v", err)
	}
	if err := s.Put(p.ID, p.Bytes[:5]); !errors.Is(err, pack.ErrCorrupt) {
		t.Errorf("a pack cut off: %v", err)
	}
	big := makePack(t, string(make([]byte, 300)))
	if err := s.Put(big.ID, big.Bytes); !errors.Is(err, ErrFull) {
		t.Errorf("a pack that does not fit: %v", err)
	}
	if n, _ := s.Usage(); n != 0 {
		t.Errorf("%d packs are there", n)
	}
}

func TestFull(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1000})
	s := open(t, mem, Options{ReserveBytes: 950})
	p := makePack(t, "more than fifty bytes are needed for this pack, all in all")
	if err := s.Put(p.ID, p.Bytes); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 2000})
	if err := s.Put(p.ID, p.Bytes); err != nil {
		t.Fatal(err)
	}
}

// TestFailedWrite lets each operation of a Put fail in turn: the pack is denied, and the next Put stores it.
func TestFailedWrite(t *testing.T) {
	t.Run("landed", func(t *testing.T) { testFailedWrite(t, makePack(t, "small")) })
	t.Run("file", func(t *testing.T) { testFailedWrite(t, large(t)) })
}

func testFailedWrite(t *testing.T, p pack.Pack) {
	for k := int32(0); ; k++ {
		inj := errorfs.OnIndex(-1)
		s := open(t, errorfs.Wrap(vfs.NewMem(), inj), Options{})
		inj.Store(k)
		err := s.Put(p.ID, p.Bytes)
		fired := inj.Load() < 0
		inj.Store(-1)
		if (err != nil) != !s.Has(p.ID) {
			t.Fatalf("operation %d: %v, has %v", k, err, s.Has(p.ID))
		}
		if err := s.Put(p.ID, p.Bytes); err != nil {
			t.Fatalf("operation %d, again: %v", k, err)
		}
		if _, err := s.Get(p.ID); err != nil {
			t.Fatalf("operation %d, read: %v", k, err)
		}
		if !fired {
			return
		}
	}
}

// large returns a pack that gets a file of its own.
func large(tb testing.TB) pack.Pack {
	return makePack(tb, strings.Repeat("large ", landedBytesMax/6), "more")
}

func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
	}{
		{"a byte of a frame", func(b []byte) []byte { b[pack.HeaderBytes+14] ^= 1; return b }},
		{"the header", func(b []byte) []byte { b[3] ^= 1; return b }},
		{"cut off", func(b []byte) []byte { return b[:len(b)-2] }},
		{"empty", func([]byte) []byte { return nil }},
	} {
		for _, p := range []pack.Pack{makePack(t, "payload", "more"), large(t)} {
			fs := vfs.NewMem()
			s := open(t, fs, Options{})
			if err := s.Put(p.ID, p.Bytes); err != nil {
				t.Fatal(err)
			}
			spoil(t, s, p.ID, c.change)
			if _, err := s.Get(p.ID); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: get: %v", c.name, err)
			}
			if s.Has(p.ID) {
				t.Errorf("%s: the pack is not denied", c.name)
			}
			if err := s.Put(p.ID, p.Bytes); err != nil {
				t.Errorf("%s: replace: %v", c.name, err)
			}
			for range 2 {
				if b, err := s.Get(p.ID); err != nil || !bytes.Equal(b, p.Bytes) {
					t.Errorf("%s: after replacing: %v", c.name, err)
				}
				if n, size := s.Usage(); n != 1 || size != int64(p.Size) {
					t.Errorf("%s: after replacing: usage %d, %d", c.name, n, size)
				}
				s = open(t, fs, Options{})
			}
		}
	}
}

// spoil changes the bytes of a stored pack. In the landing log, what is cut off becomes zero.
func spoil(t *testing.T, s *Store, id pack.ID, change func([]byte) []byte) {
	t.Helper()
	o, err := s.open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer o.release()
	was := make([]byte, o.size)
	if _, err := o.ReadAt(was, 0); err != nil {
		t.Fatal(err)
	}
	b := change(bytes.Clone(was))
	if o.place.no == 0 {
		if err := durable.WriteFile(s.opt.FS, s.file(id), "temp", b); err != nil {
			t.Fatal(err)
		}
		return
	}
	b = append(b, make([]byte, len(was)-len(b))...)
	if _, err := s.landing.segments[o.place.no].f.WriteAt(b, int64(o.place.at)+recordHeadBytes); err != nil {
		t.Fatal(err)
	}
}

func TestLostFile(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	p := large(t)
	if err := s.Put(p.ID, p.Bytes); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove(s.file(p.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(p.ID); !errors.Is(err, ErrDamaged) || s.Has(p.ID) {
		t.Fatalf("%v, has %v", err, s.Has(p.ID))
	}
}

func TestConcurrentPuts(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				p := makePack(t, fmt.Sprint(j))
				if err := s.Put(p.ID, p.Bytes); err != nil {
					t.Error(err)
				}
				if i == 0 && j%3 == 0 {
					if err := s.Delete(p.ID); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	n, size := s.Usage()
	var want int64
	for _, r := range s.List() {
		want += int64(r.Size)
		if _, err := s.Get(r.ID); err != nil {
			t.Error(err)
		}
	}
	if n != len(s.List()) || size != want {
		t.Errorf("usage %d, %d; list %d, %d", n, size, len(s.List()), want)
	}
}

// TestCrash crashes before each operation: what was put is there, whatever is there is whole, and nothing is left over.
func TestCrash(t *testing.T) {
	const seed = 11
	t.Log("seed", seed)
	rec := durabletest.New(t, seed)
	var mu sync.Mutex
	acked := map[pack.ID]bool{}
	rec.See = func() any {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(acked)
	}
	rec.Start()
	s := open(t, rec, Options{})
	for i := range 6 {
		p := makePack(t, fmt.Sprint("pack ", i), strings.Repeat("x", i%2*landedBytesMax))
		if err := s.Put(p.ID, p.Bytes); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		acked[p.ID] = true
		mu.Unlock()
	}
	checkCrashes(t, rec.Stop())
}

// checkCrashes opens what each crash left. Seen is the set of packs that must be there.
func checkCrashes(t *testing.T, crashes []durabletest.Crash) {
	t.Helper()
	for _, c := range crashes {
		s := open(t, c.FS, Options{})
		for id := range c.Seen.(map[pack.ID]bool) {
			if _, err := s.Get(id); err != nil {
				t.Fatalf("operation %d: %v", c.Op, err)
			}
		}
		for _, r := range s.List() {
			if _, err := s.Get(r.ID); err != nil {
				t.Fatalf("operation %d: %v", c.Op, err)
			}
		}
		if names, err := c.FS.List("packs/tmp"); err != nil || len(names) > 0 {
			t.Fatalf("operation %d: left over %v, %v", c.Op, names, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
