package clone

import (
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/vfs"
)

// killable is a file system whose process dies at an operation. A write that it dies in is done up to some page of the
// file: the kernel copies pages one after the other and looks for a deadly signal in between.
type killable struct {
	*vfs.Mem
	left int // operations until death
	rng  *rand.Rand
}

// step counts an operation; false says that the process is dead.
func (k *killable) step() bool {
	k.left--
	return k.left >= 0
}

func (k *killable) Create(name string) (vfs.File, error) {
	if !k.step() {
		return nil, vfs.ErrPowerLost
	}
	f, err := k.Mem.Create(name)
	return &killableFile{f, k}, err
}

func (k *killable) Open(name string) (vfs.File, error) {
	f, err := k.Mem.Open(name)
	return &killableFile{f, k}, err
}

func (k *killable) Rename(from, to string) error {
	if !k.step() {
		return vfs.ErrPowerLost
	}
	return k.Mem.Rename(from, to)
}

func (k *killable) Remove(name string) error {
	if !k.step() {
		return vfs.ErrPowerLost
	}
	return k.Mem.Remove(name)
}

type killableFile struct {
	vfs.File
	k *killable
}

func (f *killableFile) WriteAt(p []byte, off int64) (int, error) {
	if f.k.step() {
		return f.File.WriteAt(p, off)
	}
	if f.k.left == -1 && len(p) > 0 {
		end := (off + f.k.rng.Int64N(int64(len(p))+1)) / 4096 * 4096
		if n := end - off; n > 0 {
			_, _ = f.File.WriteAt(p[:n], off)
		}
	}
	return 0, vfs.ErrPowerLost
}

func (f *killableFile) Punch(off, n int64) error {
	if f.k.step() {
		return f.File.Punch(off, n)
	}
	if pages := n / 4096; f.k.left == -1 && pages > 0 {
		_ = f.File.Punch(off, f.k.rng.Int64N(pages)*4096)
	}
	return vfs.ErrPowerLost
}

func (f *killableFile) Datasync() error {
	if !f.k.step() {
		return vfs.ErrPowerLost
	}
	return f.File.Datasync()
}

// TestKill lets the process die at every k-th operation of a history, and again while what it left is opened: what was
// answered is there.
func TestKill(t *testing.T) {
	for seed := range uint64(*rounds) {
		for k := 1; ; k++ {
			fs := &killable{Mem: vfs.NewMem(seed), left: k, rng: rand.New(rand.NewPCG(seed, uint64(k)))}
			base := newMemory(seed, size)
			m := newModel(base.b)
			made, err := m.run(fs, base, rand.New(rand.NewPCG(seed, 1)), 60)
			if made {
				afterKills(t, seed, k, fs, base, m)
			}
			if err == nil {
				t.Logf("seed %d: %d operations", seed, k-1)
				break
			}
		}
	}
}

func afterKills(t *testing.T, seed uint64, k int, dead *killable, base *memory, m *model) {
	t.Helper()
	again := &killable{Mem: dead.Mem.AfterKill(), left: dead.rng.IntN(8), rng: dead.rng}
	_, _ = reopen(again, base) // dies, or does not
	o, err := reopen(again.Mem.AfterKill(), base)
	if err != nil {
		t.Fatalf("seed %d, death at %d: %v", seed, k, err)
	}
	if err := m.afterKill(content(t, o)); err != nil {
		t.Fatalf("seed %d, death at %d: %v", seed, k, err)
	}
}
