package system

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/stamp"
)

var nemesisRounds = flag.Int("nemesis-rounds", 4, "rounds of the nemesis test, each with one fault")

// nemesis does harm to a cluster of three providers and a gateway, and knows what must have survived it.
type nemesis struct {
	*cluster
	rng     *rand.Rand
	history *stamp.History
	points  map[string]api.Point // by name, all that were ever committed
}

// fault is one kind of harm. It returns when the harm is over; the processes run again then.
type fault struct {
	name string
	do   func(n *nemesis, t *testing.T, ctx context.Context)
}

var faults = []fault{
	{"kill the leader", func(n *nemesis, t *testing.T, ctx context.Context) { n.killNode(t, ctx, n.leader(t, ctx)) }},
	{"kill a follower", func(n *nemesis, t *testing.T, ctx context.Context) { n.killNode(t, ctx, n.follower(t, ctx, n.rng)) }},
	{"pause the leader", func(n *nemesis, t *testing.T, ctx context.Context) { n.pause(t, ctx, n.leader(t, ctx)) }},
	{"pause a follower", func(n *nemesis, t *testing.T, ctx context.Context) { n.pause(t, ctx, n.follower(t, ctx, n.rng)) }},
	{"reset the leader's connections", func(n *nemesis, t *testing.T, ctx context.Context) { n.reset(t, ctx, n.leader(t, ctx)) }},
	{"kill the gateway", func(n *nemesis, t *testing.T, ctx context.Context) { n.killGateway(t, ctx) }},
	{"kill the gateway and the leader", func(n *nemesis, t *testing.T, ctx context.Context) {
		leader := n.leader(t, ctx)
		if err := n.nodes[leader].Kill(); err != nil {
			t.Fatal(err)
		}
		n.killGateway(t, ctx)
		n.again(t, ctx, leader)
	}},
}

// TestNemesis lets a stamped workload run while processes are killed and paused and connections are reset. After each
// round the volumes hold a prefix of the writes with all that was acknowledged, every point that was committed before the
// fault is there, once, and reads as a prefix with all that was answered before it was made; in the end both sides are
// equal (guarantees G1 to G5).
func TestNemesis(t *testing.T) {
	rng := newRand(t)
	ctx := testContext(t, 4*time.Minute+time.Duration(*nemesisRounds)*time.Minute)
	n := &nemesis{cluster: startCluster(t, ctx), rng: rng, history: stamp.NewHistory(rng.Uint64()), points: map[string]api.Point{}}
	for round, kind := range n.rng.Perm(max(*nemesisRounds, len(faults)))[:*nemesisRounds] {
		f := faults[kind%len(faults)]
		began := time.Now()
		n.round(t, ctx, round, f)
		t.Logf("round %d: %s: %.1f s", round, f.name, time.Since(began).Seconds())
	}
	waitDisks(t, ctx, n.gateway, crashVolumes...)
	verified(t, ctx, n.gateway)
}

// round makes a point, does one kind of harm under load, and checks what is left.
func (n *nemesis) round(t *testing.T, ctx context.Context, round int, f fault) {
	t.Helper()
	working, stop := context.WithCancel(ctx)
	defer stop()
	devs, numbers, closeAll := connections(t, ctx, n.gateway)
	defer closeAll()
	ended := make(chan error, 1)
	go func() {
		w := stamp.Workload{Seed: n.rng.Uint64(), InFlight: 4, Blocks: crashVolumeBytes / stamp.BlockSize, Pause: 10 * time.Millisecond}
		ended <- w.Run(working, n.history, devs, numbers)
	}()
	n.advance(t, ctx, 100)
	before := n.history.Now()
	name := fmt.Sprintf("round-%d", round)
	made, err := n.gateway.Client.CreateSnapshot(ctx, "main", name)
	if err != nil {
		t.Fatal(err)
	}
	n.points[name] = made.Point
	f.do(n, t, ctx)
	stop()
	if err := <-ended; err != nil && !onlyLost(err) {
		t.Fatalf("a host saw an error: %v", err)
	}
	now := stateOf(t, n.history, n.gateway)
	if err := n.history.Check(now, stamp.ProcessDeath()); err != nil {
		t.Fatalf("after %s: the volumes: %v", f.name, err)
	}
	waitDisks(t, ctx, n.gateway, "a")
	n.checkPoints(t, ctx)
	if err := n.history.Check(n.stateAt(t, name), stamp.AtLeast(before)); err != nil {
		t.Fatalf("after %s: point %s: %v", f.name, name, err)
	}
	n.history.Continue(now)
}

// advance waits until so many more sequences are committed.
func (n *nemesis) advance(t *testing.T, ctx context.Context, by uint64) {
	t.Helper()
	from := n.group(t, ctx).Committed.End
	eventually(t, ctx, "points are committed", func() error {
		if end := n.group(t, ctx).Committed.End; end < from+by {
			return fmt.Errorf("newest point %d, want %d", end, from+by)
		}
		return nil
	})
}

// stateAt reads the volumes at a point.
func (n *nemesis) stateAt(t *testing.T, point string) stamp.State {
	t.Helper()
	s := stamp.State{}
	for number, name := range crashVolumes {
		c := dialNBD(t, n.gateway, name+"@"+point)
		if err := n.history.ReadState(s, uint32(number), c, c.Size); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	return s
}

// checkPoints holds the kept points to those that were made: none is missing, none is there twice.
func (n *nemesis) checkPoints(t *testing.T, ctx context.Context) {
	t.Helper()
	kept, err := n.gateway.Client.Snapshots(ctx, "main")
	if err != nil {
		t.Fatal(err)
	}
	ends, named := map[string]bool{}, map[string]api.Point{}
	for _, s := range kept {
		at := fmt.Sprint(s.Point.Timeline, s.Point.End)
		if ends[at] {
			t.Fatalf("point %+v was committed twice", s.Point)
		}
		ends[at] = true
		if s.Name != "" {
			named[s.Name] = s.Point
		}
	}
	for name, want := range n.points {
		if got := named[name]; got.Digest != want.Digest || got.End != want.End || got.Timeline != want.Timeline {
			t.Fatalf("point %s is %+v, was committed as %+v", name, got, want)
		}
	}
}

// again brings a node back that was killed.
func (n *nemesis) again(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	next, err := n.nodes[name].Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, next) })
	n.nodes[name] = next
}

func (n *nemesis) killNode(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if err := n.nodes[name].Kill(); err != nil {
		t.Fatal(err)
	}
	n.advance(t, ctx, 100)
	n.again(t, ctx, name)
}

// pause stops a node until the others go on without it.
func (n *nemesis) pause(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	pid := n.nodes[name].PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	n.advance(t, ctx, 100)
}

// reset ends all connections of a node's provider port with a reset (ss(8), -K), some times.
func (n *nemesis) reset(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if _, err := exec.LookPath("ss"); err != nil || os.Getuid() != 0 {
		t.Log("no ss, or not root: nothing is reset")
		return
	}
	_, port, err := net.SplitHostPort(n.nodes[name].Addresses.Provider)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := harness.Run(ctx, "ss", "-t", "-K", "sport", "=", ":"+port); err != nil {
			t.Fatal(err)
		}
		n.advance(t, ctx, 20)
	}
}

func (n *nemesis) killGateway(t *testing.T, ctx context.Context) {
	t.Helper()
	if err := n.gateway.Kill(); err != nil {
		t.Fatal(err)
	}
	next, err := n.gateway.Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, next) })
	n.gateway = next
}
