package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"pgregory.net/rapid"
)

func drawRuns(t *rapid.T) runs {
	var out runs
	at := uint64(0)
	for i := range rapid.IntRange(0, 20).Draw(t, "runs") {
		gap := rapid.Uint64Range(1, 1<<30).Draw(t, "gap")
		if i == 0 {
			gap--
		}
		x := run{at + gap, rapid.Uint64Range(1, 1<<30).Draw(t, "count")}
		out = append(out, x)
		at = x.First + x.Count
	}
	return out
}

func drawMark(t *rapid.T, g ident.GroupID) mark {
	m := mark{Known: rapid.Bool().Draw(t, "known"), Size: rapid.Int64Min(0).Draw(t, "size")}
	if rapid.Bool().Draw(t, "point") {
		m.Number = rapid.Uint64Min(1).Draw(t, "number")
		m.Point = ident.Point{Group: g, Timeline: ident.Timeline{UUID: ident.UUID{1}}, End: ident.Seq(m.Number), Digest: ident.Digest{4}}
	}
	return m
}

func TestSidecarReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := ident.GroupID{UUID: ident.UUID{2}}
		s := &sidecar{Phase: phase(rapid.Uint8Range(1, 3).Draw(t, "phase")), Disk: ident.UUID{1}, Group: g,
			Volume: ident.VolumeID{UUID: ident.UUID{3}}, From: drawMark(t, g), To: drawMark(t, g), Blocks: drawRuns(t)}
		b := s.encode()
		got, err := decodeSidecar(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.encode(), b) || got.From != s.From || got.To != s.To {
			t.Fatalf("got %+v, want %+v", got, s)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "damaged byte")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := decodeSidecar(b); !errors.Is(err, ErrSidecar) {
			t.Fatalf("byte %d damaged: %v", at, err)
		}
	})
}

func FuzzDecodeSidecar(f *testing.F) {
	s := &sidecar{Phase: phaseApplying, Disk: ident.UUID{1}, Group: ident.GroupID{UUID: ident.UUID{2}},
		Volume: ident.VolumeID{UUID: ident.UUID{3}}, From: mark{Known: true, Size: 512}, To: mark{Known: true, Number: 3},
		Blocks: runs{{0, 2}, {9, 1}}}
	b := s.encode()
	f.Add(b[:len(b)-4], true)
	f.Add(b, false)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = appendSum(bytes.Clone(b))
		}
		s, err := decodeSidecar(b)
		if err != nil {
			if !errors.Is(err, ErrSidecar) {
				t.Fatal(err)
			}
			return
		}
		if again, err := decodeSidecar(s.encode()); err != nil || !bytes.Equal(again.encode(), s.encode()) {
			t.Fatalf("does not read back: %v", err)
		}
	})
}

func TestRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b runs
		want := map[uint64]bool{}
		for i := range uint64(60) {
			if rapid.Bool().Draw(t, "a") {
				a.add(i)
				want[i] = true
			}
			if rapid.Bool().Draw(t, "b") {
				b.add(i)
				want[i] = true
			}
		}
		u := a.union(b)
		if u.blocks() != uint64(len(want)) {
			t.Fatalf("%v and %v make %v", a, b, u)
		}
		n := uint64(0)
		if err := u.pieces(7, func(first, count uint64) error {
			if count == 0 || count > 7 {
				t.Fatalf("piece of %d", count)
			}
			for i := range count {
				if !want[first+i] {
					t.Fatalf("block %d is not in the set", first+i)
				}
			}
			n += count
			return nil
		}); err != nil || n != u.blocks() {
			t.Fatalf("%d blocks in pieces, %d in the set, %v", n, u.blocks(), err)
		}
	})
}

// TestRawFile checks the real backing: size, holes, growth, and that only one process has it.
func TestRawFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	spec := Spec{Kind: Raw, Place: path}
	b, created, err := OpenBacking(spec)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	if _, _, err := OpenBacking(spec); !errors.Is(err, ErrBusy) {
		t.Errorf("opened twice: %v", err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.Grow(1 << 20))
	must(b.Grow(1 << 10))
	must(b.WriteAt(bytes.Repeat([]byte{1}, 300<<10), 128<<10))
	must(b.Zero(200<<10, 100<<10))
	must(b.Sync())
	want := make([]byte, 1<<20)
	copy(want[128<<10:], bytes.Repeat([]byte{1}, 300<<10))
	clear(want[200<<10 : 300<<10])
	got := make([]byte, 1<<20+512)
	must(b.ReadAt(got, 0))
	if !bytes.Equal(got[:1<<20], want) || !bytes.Equal(got[1<<20:], make([]byte, 512)) {
		t.Error("content differs")
	}
	for off := int64(0); ; {
		start, end, err := b.Data(off)
		must(err)
		if !bytes.Equal(want[off:start], make([]byte, start-off)) {
			t.Errorf("data between %d and %d is not told", off, start)
		}
		if start == end {
			break
		}
		off = end
	}
	must(b.Close())
	b, created, err = OpenBacking(spec)
	if err != nil || created {
		t.Fatalf("created %v, %v", created, err)
	}
	must(b.Close())
	if _, _, err := OpenBacking(Spec{Kind: Raw, Place: t.TempDir()}); err == nil {
		t.Error("a folder was opened as a disk")
	}
	if _, _, err := OpenBacking(Spec{Kind: Block, Place: path}); !errors.Is(err, ErrSpec) {
		t.Errorf("a file was opened as a block device: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
