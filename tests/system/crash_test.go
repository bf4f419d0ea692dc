package system

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/stamp"
)

const crashVolumeBytes = 32 << 20

// crashVolumes are written together; they share one order of writes. The number is the one in the stamps.
var crashVolumes = []string{"a", "b"}

// hit writes the stamped workload to d and calls strike after a random time; the workload ends when the server dies.
func hit(t *testing.T, ctx context.Context, h *stamp.History, d *harness.Daemon, rng *rand.Rand, strike func()) {
	t.Helper()
	devs, numbers, closeAll := connections(t, ctx, d)
	defer closeAll()
	timer := time.AfterFunc(time.Duration(50+rng.IntN(1500))*time.Millisecond, strike)
	defer timer.Stop()
	w := stamp.Workload{Seed: rng.Uint64(), InFlight: 16, Blocks: crashVolumeBytes / stamp.BlockSize}
	if err := w.Run(ctx, h, devs, numbers); !onlyLost(err) {
		t.Fatalf("the workload ended with %v", err)
	}
}

// stateOf reads the volumes of d.
func stateOf(t *testing.T, h *stamp.History, d *harness.Daemon) stamp.State {
	t.Helper()
	s := stamp.State{}
	for number, name := range crashVolumes {
		c := dialNBD(t, d, name)
		if err := h.ReadState(s, uint32(number), c, c.Size); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	return s
}

// After kill -9 at any moment the volumes hold a prefix of the writes, with everything that was acknowledged in it, and
// the disks come to hold the same (guarantees G1, G2).
func TestCrash(t *testing.T) {
	rng := newRand(t)
	ctx := testContext(t, 5*time.Minute+time.Duration(*rounds)*15*time.Second)
	dir := t.TempDir()
	flags := []string{"--epoch", "200ms"}
	for _, v := range crashVolumes {
		flags = append(flags, "--volume", v+":32M", "--disk", v+":raw:"+filepath.Join(dir, v))
	}
	d := start(t, ctx, upSpec(t, flags...))
	for _, v := range crashVolumes { // both doors write to each
		weir(t, ctx, d, "volume", "access", "set", v, "--sharing", "on")
	}
	h := stamp.NewHistory(rng.Uint64())
	for round := range *rounds {
		hit(t, ctx, h, d, rng, func() { _ = d.Kill() })
		<-d.Exited()
		d = again(t, ctx, d, rng)
		s := stateOf(t, h, d)
		if err := h.Check(s, stamp.ProcessDeath()); err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, d.LogTail())
		}
		submitted, answered := h.Ops()
		t.Logf("round %d: %d writes submitted, %d acknowledged, %d blocks in use", round, submitted, answered, len(s))
		h.Continue(s)
		if round%5 == 4 || round == *rounds-1 {
			waitDisks(t, ctx, d, crashVolumes...)
			for _, v := range crashVolumes {
				sameAsVolume(t, d, v, filepath.Join(dir, v))
			}
		}
	}
	verified(t, ctx, d)
}

// again starts d anew. Now and then the new process is killed too, while it recovers.
func again(t *testing.T, ctx context.Context, d *harness.Daemon, rng *rand.Rand) *harness.Daemon {
	t.Helper()
	for rng.IntN(3) == 0 {
		early, cancel := context.WithTimeout(ctx, time.Duration(rng.IntN(400))*time.Millisecond)
		next, err := d.Restart(early) // kills what is not ready in time
		cancel()
		if err == nil {
			_ = next.Kill()
		}
	}
	next, err := d.Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, next) })
	return next
}
