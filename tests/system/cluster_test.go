package system

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/stamp"
)

// cluster is three providers and a gateway, each a process of its own with its own certificate.
type cluster struct {
	gateway *harness.Daemon
	nodes   map[string]*harness.Daemon
	dir     string
}

var nodeNames = []string{"p1", "p2", "p3"}

// startCluster starts the cluster with replication factor 3, and the crash volumes on the gateway.
func startCluster(t *testing.T, ctx context.Context) *cluster {
	t.Helper()
	c := &cluster{nodes: map[string]*harness.Daemon{}, dir: t.TempDir()}
	certs := filepath.Join(c.dir, "certs")
	run(t, ctx, weirBinary, "cluster", "init", "--out", certs, "--nodes", strings.Join(nodeNames, ","), "--gateways", "gw")
	var addrs []string
	for _, name := range nodeNames {
		addr, err := harness.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"provider", "--listen", addr, "--certs", filepath.Join(certs, name), "--admin", "127.0.0.1:0"}
		if len(addrs) == 0 {
			args = append(args, "--bootstrap")
		} else {
			args = append(args, "--join", addrs[0])
		}
		c.nodes[name] = start(t, ctx, c.spec(name, args))
		addrs = append(addrs, addr)
	}
	args := []string{"gateway", "--providers", strings.Join(addrs, ","), "--certs", filepath.Join(certs, "gw"),
		"--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--epoch", "200ms"}
	for _, v := range crashVolumes {
		args = append(args, "--volume", v+":32M")
	}
	c.gateway = start(t, ctx, c.spec("gateway", args))
	return c
}

func (c *cluster) spec(name string, args []string) harness.Spec {
	return harness.Spec{
		Binary: weirBinary, Args: args, Data: filepath.Join(c.dir, name), Log: filepath.Join(c.dir, name+".log"),
	}
}

// leader returns the name of the leader, asking until there is one among the nodes that live.
func (c *cluster) leader(t *testing.T, ctx context.Context) string {
	t.Helper()
	name := ""
	eventually(t, ctx, "a leader that lives", func() error {
		status, err := c.gateway.Client.Cluster(ctx)
		if err != nil {
			return err
		}
		for _, n := range status.Nodes {
			if n.Leader && c.nodes[n.Name] != nil && c.nodes[n.Name].Alive() {
				name = n.Name
				return nil
			}
		}
		return fmt.Errorf("nodes %+v", status.Nodes)
	})
	return name
}

// eventually asks until try succeeds.
func eventually(t *testing.T, ctx context.Context, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// Three providers lose their leader and then a follower while the gateway is written to. Hosts notice nothing, every
// point that was committed is still there, and the disks at the nodes come to equal the volumes (guarantees G4, G10).
func TestCluster(t *testing.T) {
	rng := newRand(t)
	ctx := testContext(t, 4*time.Minute+time.Duration(*clusterRounds)*time.Minute)
	lap := stopwatch(t)
	c := startCluster(t, ctx)
	lap("start")
	disks := map[string]string{}
	for _, name := range nodeNames {
		place := filepath.Join(c.dir, "disk-"+name)
		_, err := c.gateway.Client.AddDisk(ctx, api.DiskAdd{Volume: "a", Kind: "raw", Place: place, Node: name})
		if err != nil {
			t.Fatal(err)
		}
		disks[name] = place
	}

	h := stamp.NewHistory(rng.Uint64())
	devs, numbers, closeAll := connections(t, ctx, c.gateway)
	defer closeAll()
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		w := stamp.Workload{Seed: rng.Uint64(), InFlight: 8, Blocks: crashVolumeBytes / stamp.BlockSize, Pause: 10 * time.Millisecond}
		ended <- w.Run(working, h, devs, numbers)
	}()
	for round := range *clusterRounds {
		c.lose(t, ctx, c.leader(t, ctx), fmt.Sprintf("leader-%d", round))
		lap("leader lost")
		c.lose(t, ctx, c.follower(t, ctx, rng), fmt.Sprintf("follower-%d", round))
		lap("follower lost")
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("a host saw an error: %v", err)
	}
	if err := h.Check(stateOf(t, h, c.gateway), stamp.ProcessDeath()); err != nil {
		t.Error(err)
	}
	lap("read and check")
	waitDisks(t, ctx, c.gateway, crashVolumes...)
	lap("wait for the disks")
	for _, place := range disks {
		sameAsVolume(t, c.gateway, "a", place)
	}
	lap("compare bytes")
	verified(t, ctx, c.gateway)
	lap("weir verify")
}

// follower returns one of the nodes that do not lead.
func (c *cluster) follower(t *testing.T, ctx context.Context, rng *rand.Rand) string {
	t.Helper()
	leader := c.leader(t, ctx)
	others := slices.DeleteFunc(slices.Clone(nodeNames), func(name string) bool { return name == leader })
	return others[rng.IntN(len(others))]
}

// lose kills a node after a point was committed, waits until points are committed without it and that point is still
// known, and brings the node back.
func (c *cluster) lose(t *testing.T, ctx context.Context, name, point string) {
	t.Helper()
	snapshot, err := c.gateway.Client.CreateSnapshot(ctx, c.group(t, ctx).Name, point)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[name].Kill(); err != nil {
		t.Fatal(err)
	}
	t.Logf("killed %s, newest point %d", name, snapshot.Point.End)
	eventually(t, ctx, "points committed without "+name, func() error {
		if end := c.group(t, ctx).Committed.End; end < snapshot.Point.End+200 {
			return fmt.Errorf("newest point %d", end)
		}
		return nil
	})
	kept, err := c.gateway.Client.Snapshots(ctx, c.group(t, ctx).Name)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range kept {
		found = found || s.Name == point && s.Point.Digest == snapshot.Point.Digest
	}
	if !found {
		t.Fatalf("point %s %+v is gone; there are %+v", point, snapshot.Point, kept)
	}
	next, err := c.nodes[name].Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, next) })
	c.nodes[name] = next
}

func (c *cluster) group(t *testing.T, ctx context.Context) api.Group {
	t.Helper()
	status, err := c.gateway.Client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Groups) != 1 {
		t.Fatalf("the gateway has %d groups, want 1", len(status.Groups))
	}
	return status.Groups[0]
}
