package storepack

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
	"github.com/weirstor/weir/replicate/pack"
)

func open(tb testing.TB, fs vfs.FS, opt Options) *Store {
	tb.Helper()
	opt.FS = fs
	s, err := Open("store", opt)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func closeStore(tb testing.TB, s io.Closer) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// put appends one block and makes it durable.
func put(s *Store, k Block) (Ref, error) {
	var b Builder
	b.Start(1, 1)
	b.Add(0, []Block{k})
	refs, batch, err := s.Append(&b)
	if err != nil {
		return Ref{}, err
	}
	defer batch.Settle()
	return refs[0], batch.Sync()
}

func TestAppendRead(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{BytesMax: 64 << 10, FilesMax: 2})
	type stored struct {
		ref Ref
		k   Block
	}
	var all []stored
	for i := range uint64(60) {
		k := block(0, 2*i+1, leaf.BlockSize)
		ref, err := put(s, k)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored{ref, k})
	}
	check := func(s *Store) {
		for _, x := range all {
			f, err := s.Read(x.ref)
			if err != nil || !bytes.Equal(f.Block(0), x.k.Data) {
				t.Fatalf("%+v: %v", x.ref, err)
			}
		}
	}
	check(s)
	closeStore(t, s)
	s = open(t, fs, Options{BytesMax: 64 << 10, FilesMax: 2, CacheBytes: 1})
	defer closeStore(t, s)
	check(s)
	if n, size := s.Usage(); n < 4 || size < 60*leaf.BlockSize {
		t.Fatalf("usage %d, %d", n, size)
	}
	seen := 0
	for no := range s.Packs() {
		if err := s.Scan(no, func(ref Ref, typ uint8, payload []byte) error {
			seen++
			_, err := DecodeFrame(typ, payload)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if seen != len(all) {
		t.Fatalf("scan finds %d frames, want %d", seen, len(all))
	}
	ref, err := put(s, block(0, 9, leaf.BlockSize))
	if err != nil || slices.ContainsFunc(all, func(x stored) bool { return x.ref.Pack == ref.Pack }) {
		t.Fatalf("appended to pack %d of an earlier run, %v", ref.Pack, err)
	}
}

func TestDeleteWaits(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	defer closeStore(t, s)
	var b Builder
	b.Start(1, 1)
	b.Add(0, []Block{block(0, 1, leaf.BlockSize)})
	refs, batch, err := s.Append(&b)
	if err != nil {
		t.Fatal(err)
	}
	no := refs[0].Pack
	for _, step := range []struct {
		name string
		do   func()
		want bool
	}{
		{"active", func() {}, false},
		{"closed, not settled", func() { _ = s.Seal() }, false},
		{"settled", batch.Settle, true},
		{"deleted", func() {}, true},
	} {
		step.do()
		if gone, err := s.Delete(no); gone != step.want || err != nil {
			t.Fatalf("%s: gone %v, %v", step.name, gone, err)
		}
	}
	if _, err := s.Read(refs[0]); !errors.Is(err, ErrNotFound) {
		t.Fatalf("read of a deleted pack: %v", err)
	}
}

func TestDamagedFrame(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	ref, err := put(s, block(0, 1, leaf.BlockSize))
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	f, err := fs.OpenReadWrite("store/"+FileName(ref.Pack), "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff, 0xee}, int64(ref.At)+100); err != nil {
		t.Fatal(err)
	}
	closeStore(t, f)
	s = open(t, fs, Options{})
	defer closeStore(t, s)
	for _, r := range []Ref{ref, {ref.Pack, ref.At + 1, ref.Len}, {ref.Pack, ref.At, ref.Len + 1}, {ref.Pack, ref.At, 3},
		{ref.Pack, 1 << 30, 50}} {
		if _, err := s.Read(r); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestConcurrentAppends(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{BytesMax: 128 << 10})
	defer closeStore(t, s)
	var wg sync.WaitGroup
	for g := range uint64(6) {
		wg.Go(func() {
			for i := range uint64(30) {
				k := block(0, 1+g*1000+i, leaf.BlockSize)
				ref, err := put(s, k)
				if err != nil {
					t.Error(err)
					return
				}
				typ, payload, err := s.ReadRaw(ref) // past the cache
				if err != nil {
					t.Error(err)
					return
				}
				f, err := DecodeFrame(typ, payload)
				if err != nil || !bytes.Equal(f.Block(0), k.Data) {
					t.Errorf("group %d, block %d: %v", g, i, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestFailedWrite lets each operation of an append fail in turn: the frame is either there or was refused, and the
// store goes on.
func TestFailedWrite(t *testing.T) {
	for k := int32(0); ; k++ {
		inj := errorfs.OnIndex(-1)
		s := open(t, errorfs.Wrap(vfs.NewMem(), inj), Options{})
		inj.Store(k)
		first, err := put(s, block(0, 1, leaf.BlockSize))
		fired := inj.Load() < 0
		inj.Store(-1)
		if err == nil {
			if _, _, err := s.ReadRaw(first); err != nil {
				t.Fatalf("operation %d: %v", k, err)
			}
		}
		ref, err := put(s, block(0, 3, leaf.BlockSize))
		if err != nil {
			t.Fatalf("operation %d, next: %v", k, err)
		}
		if _, _, err := s.ReadRaw(ref); err != nil {
			t.Fatalf("operation %d, next: %v", k, err)
		}
		closeStore(t, s)
		if !fired {
			return
		}
	}
}

// TestCrash crashes before each operation: what was synced reads back.
func TestCrash(t *testing.T) {
	const seed = 5
	t.Log("seed", seed)
	rec := durabletest.New(t, seed)
	var mu sync.Mutex
	var acked []Ref
	rec.See = func() any {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(acked)
	}
	rec.Start()
	s := open(t, rec, Options{BytesMax: 20 << 10})
	for i := range uint64(20) {
		ref, err := put(s, block(uint8(i%16), 2*i+1, leaf.BlockSize))
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		acked = append(acked, ref)
		mu.Unlock()
	}
	crashes := rec.Stop()
	closeStore(t, s)
	for _, c := range crashes {
		s := open(t, c.FS, Options{})
		for i, ref := range c.Seen.([]Ref) {
			f, err := s.Read(ref)
			if err != nil || !bytes.Equal(f.Block(0), block(0, 2*uint64(i)+1, leaf.BlockSize).Data) {
				t.Fatalf("operation %d, frame %d: %v", c.Op, i, err)
			}
		}
		closeStore(t, s)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]uint32{"00000001.pack": 1, "ffffffff.pack": 1<<32 - 1, "00000000.pack": 0, "1.pack": 0,
		"00000001": 0, "0000000g.pack": 0} {
		no, err := parseName(name)
		if no != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %d, %v", name, no, err)
		}
		if err == nil && FileName(no) != name {
			t.Errorf("%d is named %s", no, FileName(no))
		}
	}
	if _, err := pack.KindOf(pack.AppendHeader(nil, pack.Store)); err != nil {
		t.Error(err)
	}
}
