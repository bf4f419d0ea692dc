package clone

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/vfs"
)

var rounds = flag.Int("clone.rounds", 1, "seeds of the crash tests")

// A clone's size in these tests: the last block is short.
const size = 24*BlockBytes + 1536

// run makes a clone and works on it until an operation fails or count are done.
func (m *model) run(fs vfs.FS, base *memory, rng *rand.Rand, count int) (made bool, err error) {
	o, err := makeOverlay(fs, base)
	if err != nil {
		return false, err
	}
	for range count {
		if err := m.step(o, rng); err != nil {
			return true, err
		}
	}
	return true, nil
}

// TestPowerLoss cuts the power at every k-th operation of a history, and again while what it left is opened.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(*rounds) {
		for k := 1; ; k++ {
			fs := vfs.NewMem(seed<<20 + uint64(k))
			fs.SetHook(func(op vfs.Op) error {
				if op.Number >= k {
					return vfs.ErrPowerLost
				}
				return nil
			})
			base := newMemory(seed, size)
			m := newModel(base.b)
			made, err := m.run(fs, base, rand.New(rand.NewPCG(seed, 1)), 60)
			if made {
				reopenTwice(t, seed, k, fs.AfterPowerLoss(), base, m)
			}
			if err == nil {
				t.Logf("seed %d: %d operations", seed, k-1)
				break
			}
		}
	}
}

// reopenTwice opens what a crash left, with another crash at a random operation of the opening.
func reopenTwice(t *testing.T, seed uint64, k int, fs *vfs.Mem, base *memory, m *model) {
	t.Helper()
	cut := fs.Ops() + rand.New(rand.NewPCG(seed, uint64(k))).IntN(8)
	fs.SetHook(func(op vfs.Op) error {
		if op.Number > cut {
			return vfs.ErrPowerLost
		}
		return nil
	})
	if _, err := reopen(fs, base); err != nil && !errors.Is(err, vfs.ErrPowerLost) {
		t.Fatalf("seed %d, crash at %d: %v", seed, k, err)
	}
	o, err := reopen(fs.AfterPowerLoss(), base)
	if err != nil {
		t.Fatalf("seed %d, crash at %d: %v", seed, k, err)
	}
	got := content(t, o)
	if err := m.afterLoss(got); err != nil {
		t.Fatalf("seed %d, crash at %d: %v", seed, k, err)
	}
	checkExtents(t, o, got)
	if err := o.write([]byte("again"), 3); err != nil || !bytes.Equal(content(t, o)[3:8], []byte("again")) {
		t.Fatalf("seed %d, crash at %d: write after recovery: %v", seed, k, err)
	}
}

// TestModel works on a clone with restarts and compares all of it.
func TestModel(t *testing.T) {
	for seed := range uint64(3) {
		fs, rng := vfs.NewMem(seed), rand.New(rand.NewPCG(seed, 2))
		base := newMemory(seed, size)
		m := newModel(base.b)
		o, err := makeOverlay(fs, base)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			if err := m.step(o, rng); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !bytes.Equal(content(t, o), m.now) {
				t.Fatalf("seed %d, step %d: content differs", seed, i)
			}
			checkExtents(t, o, m.now)
			if i%50 == 49 {
				fs = fs.AfterKill()
				if o, err = reopen(fs, base); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
	}
}

// TestFailedSync latches: nothing is acknowledged after a sync that failed.
func TestFailedSync(t *testing.T) {
	fs := vfs.NewMem(1)
	o, err := makeOverlay(fs, newMemory(1, size))
	if err != nil {
		t.Fatal(err)
	}
	if err := o.write(make([]byte, 8192), 0); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("disk is gone")
	fs.SetHook(func(op vfs.Op) error {
		if op.Name == "sync" {
			return bad
		}
		return nil
	})
	if err := o.flush(); !errors.Is(err, bad) {
		t.Fatalf("flush: %v", err)
	}
	fs.SetHook(nil)
	for name, err := range map[string]error{"flush": o.flush(), "write": o.write([]byte{1}, 0), "zero": o.zero(0, 4096, false)} {
		if !errors.Is(err, bad) {
			t.Errorf("%s after a failed sync: %v", name, err)
		}
	}
}
