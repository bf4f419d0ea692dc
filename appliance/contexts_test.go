package appliance

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/target/nbd"
)

// flagsOf asks a context for the status of every block of 4 KiB of [0, size).
func flagsOf(t *testing.T, s *System, export, name string, size int64) []uint32 {
	t.Helper()
	_, info, err := exports{s.gateway}.Export(export)
	if err != nil {
		t.Fatal(err)
	}
	c, ok := info.Contexts.Context(name)
	if !ok {
		t.Fatalf("%s has no context %s", export, name)
	}
	var out []uint32
	for off := int64(0); off < size; {
		runs, err := c.Status(off, min(size-off, 256<<10))
		if err != nil {
			t.Fatalf("%s of %s at %d: %v", name, export, off, err)
		}
		for _, r := range runs {
			if r.Len <= 0 || r.Len%4096 != 0 {
				t.Fatalf("%s of %s: a run of %d bytes at %d", name, export, r.Len, off)
			}
			for ; r.Len > 0; r.Len -= 4096 {
				out = append(out, r.Flags)
				off += 4096
			}
		}
	}
	return out
}

// What weir:dirty says holds at every stage of a write: in the log, sealed, committed; nothing that has changed is called
// clean, and what was not written is not called dirty.
func TestDirtyContext(t *testing.T) {
	const size, blocks = 4 << 20, 4 << 20 / 4096
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: size, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	v, err := s.gateway.group.Volume("v")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	scribble(t, rng, v, size)
	if _, err := s.CreateSnapshot(t.Context(), groupName, "one"); err != nil {
		t.Fatal(err)
	}
	old, now := make([]byte, size), make([]byte, size)
	if err := v.ReadAt(old, 0); err != nil {
		t.Fatal(err)
	}
	touched := make([]bool, blocks)
	check := func(what string) {
		t.Helper()
		if err := v.ReadAt(now, 0); err != nil {
			t.Fatal(err)
		}
		for i, f := range flagsOf(t, s, "v", "weir:dirty:one", size) {
			changed := !bytes.Equal(old[i*4096:(i+1)*4096], now[i*4096:(i+1)*4096])
			if changed && f != 1 || !touched[i] && f != 0 {
				t.Fatalf("%s: block %d: changed %v, written %v, told %#x", what, i, changed, touched[i], f)
			}
		}
	}
	check("nothing is written")
	for range 4 {
		for _, w := range scribble(t, rng, v, size) {
			for b := w[0] / 4096; b <= (w[0]+w[1]-1)/4096; b++ {
				touched[b] = true
			}
		}
		check("in the log")
		if _, err := s.gateway.group.Seal(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		check("sealed")
		if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
			t.Fatal(err)
		}
		check("committed")
	}
	if _, err := s.CreateSnapshot(t.Context(), groupName, "two"); err != nil {
		t.Fatal(err)
	}
	for i, f := range flagsOf(t, s, "v@two", "weir:dirty:one", size) { // between two points, only real changes
		if changed := !bytes.Equal(old[i*4096:(i+1)*4096], now[i*4096:(i+1)*4096]); changed != (f == 1) {
			t.Fatalf("points: block %d: changed %v, told %#x", i, changed, f)
		}
	}
	for _, name := range []string{"weir:dirty:never", "weir:dirty:", "weir:", "weir:other", "weir:dirty:one:two"} {
		_, info, _ := exports{s.gateway}.Export("v")
		if _, ok := info.Contexts.Context(name); ok {
			t.Errorf("there is a context %s", name)
		}
	}
}

// scribble writes at random places and returns them: offset and length.
func scribble(t *testing.T, rng *rand.Rand, v *intercept.Volume, size int64) (written [][2]int64) {
	t.Helper()
	for range 20 {
		n := 512 * (1 + rng.Int64N(40))
		off := 512 * rng.Int64N((size-n)/512)
		var err error
		switch rng.IntN(4) {
		case 0:
			err = v.Trim(off, n, false)
		default:
			p := bytes.Repeat([]byte{byte(rng.Uint32())}, int(n))
			err = v.WriteAt(p, off, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		written = append(written, [2]int64{off, n})
	}
	return written
}

// weir:class tells the class of the last change, first as a guess of the path, then as committed.
func TestClassContext(t *testing.T) {
	c := testConfig(t)
	c.Epoch = config.Duration(1e12) // sealed only when asked
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	v, err := s.gateway.group.Volume("v")
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, 64<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	write := func(p []byte, off int64) {
		t.Helper()
		if err := v.WriteAt(p, off, false); err != nil {
			t.Fatal(err)
		}
	}
	write(random, 0)
	for i, f := range flagsOf(t, s, "v", "weir:class", 1<<20) {
		if pending := f&256 != 0; pending != (i < 16) || pending && f&255 == 0 || !pending && f != 0 {
			t.Fatalf("in the log: block %d has %#x", i, f)
		}
	}
	if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
		t.Fatal(err)
	}
	for i, f := range flagsOf(t, s, "v", "weir:class", 1<<20) {
		if want := map[bool]uint32{true: 5}[i < 16]; f != want { // LargeData: new content
			t.Fatalf("committed: block %d has %#x, want %#x", i, f, want)
		}
	}
	write([]byte("a few bytes"), 5*4096+100)
	if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
		t.Fatal(err)
	}
	flags := flagsOf(t, s, "v", "weir:class", 1<<20)
	if flags[4] != 5 || flags[5] == 5 || flags[5] == 0 || flags[5]&256 != 0 || flags[16] != 0 {
		t.Errorf("after a small change: %#x", flags[:18])
	}
	if err := v.Trim(0, 4096, false); err != nil {
		t.Fatal(err)
	}
	if f := flagsOf(t, s, "v", "weir:class", 1<<20)[0]; f != 257 {
		t.Errorf("trimmed: %#x, want ZeroBlock, pending", f)
	}
}

var _ nbd.Context = dirty{}
