package intercept

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// filled returns an Origin of random content at a sequence, and the content by volume.
func filled(rng *rand.Rand, sizes ...int64) (Origin, [][]byte) {
	o := Origin{Point: ident.Point{Group: ident.GroupID{UUID: ident.NewUUID()}, Timeline: ident.Timeline{UUID: ident.NewUUID()}, End: 4711}}
	var all [][]byte
	for i, size := range sizes {
		v := OriginVolume{ID: ident.VolumeID{UUID: ident.NewUUID()}, Name: string(rune('a' + i)), Size: size, BlockSize: 512}
		b := make([]byte, size)
		for off := int64(0); off < size; off += leaf.BlockSize {
			block := b[off:min(off+leaf.BlockSize, size)]
			if rng.IntN(3) > 0 {
				for j := range block {
					block[j] = byte(rng.Uint32())
				}
			}
			v.State = v.State.Replace(v.ID, uint64(off/leaf.BlockSize), 0, leaf.Of(block))
		}
		o.Volumes, all = append(o.Volumes, v), append(all, b)
	}
	return o, all
}

// fillFrom gives a Restoring all content but that of blocks which are zero.
func fillFrom(t *testing.T, r *Restoring, content [][]byte) {
	t.Helper()
	for i, b := range content {
		for off := 0; off < len(b); off += leaf.BlockSize {
			if block := b[off:min(off+leaf.BlockSize, len(b))]; !leaf.IsZero(block) {
				if err := r.WriteAt(i, block, int64(off)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestRestore fills a folder, also after an attempt that was given up, and goes on with the group.
func TestRestore(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	o, want := filled(rng, 1*mib, 300<<10+512)
	dir := filepath.Join(t.TempDir(), "group")
	half, err := Restore(dir, testOptions(), o)
	if err != nil {
		t.Fatal(err)
	}
	fillFrom(t, half, want[:1])
	if err := half.Finish(); !errors.Is(err, ErrRestored) {
		t.Fatalf("a folder that is half full is finished with %v", err)
	}
	if _, err := Open(dir, testOptions()); !errors.Is(err, ErrNotGroup) {
		t.Fatalf("a folder that is half full opens with %v", err)
	}
	r, err := Restore(dir, testOptions(), o)
	if err != nil {
		t.Fatal(err)
	}
	fillFrom(t, r, want)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if id, err := GroupIn(dir); err != nil || id != o.Point.Group {
		t.Errorf("the folder holds group %s, %v", id, err)
	}
	if _, err := Restore(dir, testOptions(), o); !errors.Is(err, ErrExists) {
		t.Errorf("restoring over a group: %v", err)
	}
	g, err := Open(dir, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if l := g.Ledger(); l.Committed != o.Point || l.States[o.Volumes[1].ID] != o.Volumes[1].State || g.Timeline() == o.Point.Timeline {
		t.Errorf("ledger %+v, timeline %s", l, g.Timeline())
	}
	v := volume(t, g, "a")
	if err := v.WriteAt(bytes.Repeat([]byte{7}, 512), 1024, true); err != nil {
		t.Fatal(err)
	}
	copy(want[0][1024:], bytes.Repeat([]byte{7}, 512))
	if end, err := g.Seal(t.Context(), ""); err != nil || end <= o.Point.End {
		t.Errorf("sealed at %d, %v", end, err)
	}
	e, err := g.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e.First() != o.Point.End+1 || len(e.Volumes()[0].Extents) != 1 || len(e.Volumes()[1].Extents) != 0 {
		t.Errorf("the first epoch begins at %d and changes %+v", e.First(), e.Volumes()[0].Extents)
	}
	g.Return(e)
	g = reopen(t, g, dir, testOptions())
	defer closeGroup(t, g)
	for i, v := range g.Volumes() {
		if !bytes.Equal(content(t, v), want[i]) {
			t.Errorf("volume %s differs", v.Name())
		}
	}
}

func TestRestoreRefusesBadRanges(t *testing.T) {
	o, _ := filled(rand.New(rand.NewPCG(1, 1)), 10<<10)
	r, err := Restore(filepath.Join(t.TempDir(), "group"), testOptions(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Abort()
	for _, x := range []struct{ off, n int64 }{{512, 4096}, {0, 512}, {8192, 4096}, {-4096, 4096}, {12288, 0}} {
		if err := r.WriteAt(0, make([]byte, x.n), x.off); !errors.Is(err, ErrArgument) {
			t.Errorf("%d bytes at %d: %v", x.n, x.off, err)
		}
	}
	if err := r.WriteAt(0, make([]byte, 2048), 8192); err != nil {
		t.Errorf("the short last block: %v", err)
	}
}
