package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/stamp"
)

// pair is one provider and two gateways, each a process of its own.
type pair struct {
	*cluster
	gateways map[string]*harness.Daemon
	addrs    string
}

// startPair starts a provider that knows two gateways, and the first of them with the crash volumes.
func startPair(t *testing.T, ctx context.Context) *pair {
	t.Helper()
	p := &pair{cluster: &cluster{nodes: map[string]*harness.Daemon{}, dir: t.TempDir()}, gateways: map[string]*harness.Daemon{}}
	run(t, ctx, weirBinary, "cluster", "init", "--out", filepath.Join(p.dir, "certs"), "--nodes", "p1", "--gateways", "gw1,gw2")
	addr, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p.addrs = addr
	p.nodes["p1"] = start(t, ctx, p.spec("p1", []string{"provider", "--listen", addr, "--certs", filepath.Join(p.dir, "certs", "p1"),
		"--admin", "127.0.0.1:0", "--bootstrap", "--keep-last", "-1"}))
	var flags []string
	for _, v := range crashVolumes {
		flags = append(flags, "--volume", v+":32M")
	}
	p.start(t, ctx, "gw1", flags...)
	return p
}

func (p *pair) start(t *testing.T, ctx context.Context, name string, flags ...string) *harness.Daemon {
	t.Helper()
	args := []string{"gateway", "--providers", p.addrs, "--certs", filepath.Join(p.dir, "certs", name),
		"--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--epoch", "200ms"}
	p.gateways[name] = start(t, ctx, p.spec(name, append(args, flags...)))
	return p.gateways[name]
}

// declined runs a command that has to fail with an exit code, and returns what it says.
func declined(t *testing.T, ctx context.Context, d *harness.Daemon, code int, args ...string) string {
	t.Helper()
	out, err := harness.Run(ctx, append(append([]string{weirBinary}, args...), "--admin", d.Addresses.Admin)...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Fatalf("weir %s ended with %v, want exit code %d", strings.Join(args, " "), err, code)
	}
	return out
}

// readOnly waits until a gateway's group is read-only with a reason that holds all words, and checks that a write is
// refused.
func readOnly(t *testing.T, ctx context.Context, d *harness.Daemon, choices []string, words ...string) {
	t.Helper()
	eventually(t, ctx, "the group is read-only", func() error {
		st, err := d.Client.Status(ctx)
		if err != nil {
			return err
		}
		if len(st.Groups) == 0 || st.Health.State != api.HealthDegraded || st.Health.Action == "" || !slices.Equal(st.Groups[0].Choices, choices) {
			return fmt.Errorf("health %+v, groups %+v", st.Health, st.Groups)
		}
		for _, w := range words {
			if !strings.Contains(st.Health.Reason+st.Health.Action, w) {
				return fmt.Errorf("%q is not in %+v", w, st.Health)
			}
		}
		return nil
	})
	c := dialNBD(t, d, crashVolumes[0])
	if err := c.WriteAt(make([]byte, 4096), 0, false); err == nil {
		t.Error("a write to a group that is read-only was acknowledged")
	}
	_ = c.Close()
}

// sameVolumes compares the volumes of two gateways byte by byte.
func sameVolumes(t *testing.T, h *stamp.History, a, b *harness.Daemon) {
	t.Helper()
	want, got := stateOf(t, h, a), stateOf(t, h, b)
	if len(want) != len(got) {
		t.Errorf("%d blocks in use, want %d", len(got), len(want))
	}
	for place, id := range want {
		if got[place] != id {
			t.Fatalf("block %+v was written by %d, want %d", place, got[place], id)
		}
	}
}

// work runs the stamped workload at a gateway for some requests.
func work(t *testing.T, ctx context.Context, h *stamp.History, d *harness.Daemon, seed uint64, ops int) error {
	t.Helper()
	devs, numbers, closeAll := connections(t, ctx, d)
	defer closeAll()
	return stamp.Workload{Seed: seed, InFlight: 4, Blocks: crashVolumeBytes / stamp.BlockSize, OpsMax: ops}.Run(ctx, h, devs, numbers)
}

// TestTakeover stops a gateway in the middle of its work and gives its group to a second one. When the first wakes up it
// stops acknowledging writes, keeps what it never sent, and can be filled from the second. Then each side is made the
// right one in turn, and a gateway loses its folder (design section 7, guarantees G3 and G5).
func TestTakeover(t *testing.T) {
	rng := newRand(t)
	ctx := testContext(t, 5*time.Minute)
	lap := stopwatch(t)
	p := startPair(t, ctx)
	first := p.gateways["gw1"]
	h := stamp.NewHistory(rng.Uint64())
	if err := work(t, ctx, h, first, rng.Uint64(), 400); err != nil {
		t.Fatal(err)
	}
	waitDisks(t, ctx, first, "a")
	committed := h.Now()
	if out := declined(t, ctx, first, 5, "group", "overwrite"); !strings.Contains(out, "nothing to decide") {
		t.Errorf("a decision about a group that follows: %s", out)
	}
	lap("start and first writes")

	stopAt := time.AfterFunc(time.Duration(100+rng.IntN(400))*time.Millisecond, func() { _ = syscall.Kill(first.PID(), syscall.SIGSTOP) })
	defer stopAt.Stop()
	working, quit := context.WithCancel(ctx)
	ended := make(chan error, 1)
	devs, numbers, closeAll := connections(t, ctx, first)
	go func() {
		w := stamp.Workload{Seed: rng.Uint64(), InFlight: 4, Blocks: crashVolumeBytes / stamp.BlockSize, Pause: 2 * time.Millisecond}
		ended <- w.Run(working, h, devs, numbers)
	}()
	eventually(t, ctx, "the gateway stands still", func() error { return stopped(first.PID()) })

	second := p.start(t, ctx, "gw2")
	out := weir(t, ctx, second, "group", "restore", "--from", "gw1/main")
	t.Logf("restored:\n%s", out)
	lap("restore on the second gateway")
	if err := h.Check(stateOf(t, h, second), stamp.AtLeast(committed)); err != nil {
		t.Fatalf("the second gateway: %v", err)
	}
	taken := stateOf(t, h, second)

	if err := syscall.Kill(first.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	readOnly(t, ctx, first, []string{api.ActTakeover, api.ActRestore, api.ActOverwrite}, "taken over", "weir group")
	quit()
	<-ended
	closeAll()
	declined(t, ctx, first, 1, "wait", "a")
	lap("the first gateway wakes up")

	h.Continue(taken)
	if err := work(t, ctx, h, second, rng.Uint64(), 200); err != nil {
		t.Fatal(err)
	}
	waitDisks(t, ctx, second, "a")
	if out := declined(t, ctx, first, 5, "group", "takeover"); !strings.Contains(out, "weir group restore") {
		t.Errorf("a takeover with another history: %s", out)
	}
	readOnly(t, ctx, first, []string{api.ActRestore, api.ActOverwrite}, "not in the gateway's history")
	waitDisks(t, ctx, second, "a") // it still has the group
	lap("a takeover with another history")

	p.restart(t, ctx, "gw1")
	first = p.gateways["gw1"]
	readOnly(t, ctx, first, []string{api.ActRestore, api.ActOverwrite}, "in an earlier run")
	weir(t, ctx, first, "group", "restore")
	sameVolumes(t, h, second, first)
	st, err := first.Client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if b := st.Groups[0].Branches; len(b) != 1 || b[0].Reason == "" || b[0].Group != st.Groups[0].ID {
		t.Fatalf("branches %+v", b)
	} else if _, err := os.Stat(filepath.Join(b[0].Path, "checkpoint")); err != nil {
		t.Errorf("the branch %s is no group: %v", b[0].Path, err)
	}
	readOnly(t, ctx, second, []string{api.ActTakeover, api.ActRestore, api.ActOverwrite}, "taken over")
	lap("restore on the first gateway")

	before := stateOf(t, h, second)
	if err := work(t, ctx, stamp.NewHistory(1), first, 1, 200); err != nil { // another history
		t.Fatal(err)
	}
	waitDisks(t, ctx, first, "a")
	weir(t, ctx, second, "group", "overwrite")
	if err := h.Check(stateOf(t, h, second), stamp.ProcessDeath()); err != nil {
		t.Fatal(err)
	}
	if len(stateOf(t, h, second)) != len(before) {
		t.Error("the content of the gateway that overwrites has changed")
	}
	waitDisks(t, ctx, second, "a")
	verified(t, ctx, second)
	readOnly(t, ctx, first, []string{api.ActTakeover, api.ActRestore, api.ActOverwrite}, "taken over")
	kept := weir(t, ctx, second, "snapshot", "list")
	if !strings.Contains(kept, "replaced-") {
		t.Errorf("what was overwritten is not kept: %s", kept)
	}
	lap("overwrite")

	p.loseFolder(t, ctx, h)
	lap("a gateway without its folder")
}

// restart ends a gateway as an administrator does and starts it again.
func (p *pair) restart(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if err := p.gateways[name].Stop(); err != nil {
		t.Fatal(err)
	}
	next, err := p.gateways[name].Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, next) })
	p.gateways[name] = next
}

// loseFolder removes the data folder of the gateway that holds the group. A new one of its name must not begin a group
// of its own.
func (p *pair) loseFolder(t *testing.T, ctx context.Context, h *stamp.History) {
	t.Helper()
	d := p.gateways["gw2"]
	want := stateOf(t, h, d)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(d.Data); err != nil {
		t.Fatal(err)
	}
	d = p.start(t, ctx, "gw2", "--volume", "a:32M", "--volume", "b:32M")
	readOnly(t, ctx, d, []string{api.ActRestore, api.ActOverwrite}, "another group of this gateway", "weir group restore")
	weir(t, ctx, d, "group", "restore")
	got := stateOf(t, h, d)
	if len(got) != len(want) {
		t.Errorf("%d blocks in use after the restore, want %d", len(got), len(want))
	}
	for place, id := range want {
		if got[place] != id {
			t.Fatalf("block %+v was written by %d, want %d", place, got[place], id)
		}
	}
	waitDisks(t, ctx, d, "a")
}

// stopped returns nil when a process stands still after SIGSTOP (proc(5), state T).
func stopped(pid int) error {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	if !strings.HasPrefix(rest, "T") {
		return fmt.Errorf("state %.1s", rest)
	}
	return nil
}
