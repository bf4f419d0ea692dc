package durabletest

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Crash is what is left of a file system after a crash.
type Crash struct {
	FS   *vfs.MemFS // what was synced, and a random part of what was not
	Op   int        // number of the operation that was not done any more
	Seen any        // what Recorder.See returned before the copy was taken
}

// Recorder is a file system in memory that can be crashed before each operation.
type Recorder struct {
	vfs.FS // to be used by what is tested
	mem    *vfs.MemFS
	tb     testing.TB

	// See, if set, says what must have survived: it is called before each copy is taken.
	See func() any
	// Stride is how many operations there are between two copies; 0 is 1.
	Stride int

	mu      sync.Mutex
	rng     *rand.Rand
	ops     int
	crashes []Crash
	on      bool
}

// New returns a Recorder that takes no copies before Start. The seed decides what of the unsynced data survives.
func New(tb testing.TB, seed uint64) *Recorder {
	r := &Recorder{mem: vfs.NewCrashableMem(), tb: tb, rng: rand.New(rand.NewPCG(seed, 7))}
	r.FS = errorfs.Wrap(r.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			r.Step()
		}
		return nil
	}))
	return r
}

// Start begins to take copies.
func (r *Recorder) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = true
}

// Step counts an operation that is about to be done, and takes a copy if one is due.
func (r *Recorder) Step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.on {
		return
	}
	r.ops++
	if r.ops%max(r.Stride, 1) == 0 {
		r.takeLocked()
	}
}

func (r *Recorder) takeLocked() {
	c := Crash{Op: r.ops}
	if r.See != nil {
		c.Seen = r.See()
	}
	keep := []int{0, 0, 30, 70, 100}[r.rng.IntN(5)]
	c.FS = r.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: r.rng})
	r.crashes = append(r.crashes, c)
}

// Stop takes a last copy and returns all of them, in order.
func (r *Recorder) Stop() []Crash {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops++
	r.takeLocked()
	r.on = false
	r.tb.Logf("%d operations, %d crashes", r.ops, len(r.crashes))
	return r.crashes
}
