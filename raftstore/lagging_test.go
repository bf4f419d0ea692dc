package raftstore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gated holds up its node when the agreed list of disks changes: as long as the gate is shut, the node applies nothing.
type gated struct {
	copies
	mu   sync.Mutex
	open chan struct{}
}

func (g *gated) SetDisks(specs []replica.DiskSpec) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		<-open
	}
	g.copies.SetDisks(specs)
}

// shut shuts the gate and returns what opens it again.
func (g *gated) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := make(chan struct{})
	g.open = c
	return sync.OnceFunc(func() {
		g.mu.Lock()
		g.open = nil
		g.mu.Unlock()
		close(c)
	})
}

// startGated starts a cluster of nodes that take points in really, each with a gate.
func startGated(t *testing.T, nodes int) (*testCluster, map[string]*gated) {
	c, gates := newTestCluster(t), make(map[string]*gated)
	c.real = true
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		opt := c.options(name)
		opt.copies = func(n *Node) (copies, error) {
			real, err := openCopies(n)
			gates[name] = &gated{copies: real}
			return gates[name], err
		}
		if err := c.openWith(name, opt).WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return c, gates
}

// TestDiskOfLaggingNode adds a disk of a node that does not apply what is agreed. Waiting for disks includes it all the
// same, and it is listed.
func TestDiskOfLaggingNode(t *testing.T) {
	c, gates := startGated(t, 3)
	w := newWriter(t, c.gateway(), 1<<20, rand.Uint64())
	w.mustOpen()
	point := w.epoch("")
	w.sameEverywhere(c, point)
	calls := rpc.NewProviderClient(w.cl)
	dir := t.TempDir()
	add := func(node, place string) []byte {
		t.Helper()
		r, err := calls.AddDisk(w.ctx(), &rpc.AddDiskRequest{Disk: &rpc.Disk{
			Group: w.group.UUID[:], Volume: w.volume.UUID[:], VolumeName: "v", Node: node, Kind: "raw", Place: filepath.Join(dir, place),
		}})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetDisk().GetId()
	}
	wait := func(ctx context.Context) error {
		_, err := calls.WaitPoint(ctx, &rpc.WaitPointRequest{Point: rpc.FromPoint(point), Disks: true})
		return err
	}
	lagging := c.follower()
	open := gates[lagging].shut()
	defer func() { open() }()
	add(c.leader(), "first") // the lagging node is held up by this one
	add(lagging, "second")   // and does not get to this one
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	// The server's clock may end the call a moment before the client's does.
	if err := wait(ctx); err == nil || ctx.Err() == nil && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("waiting ended with %v before the disk is there", err)
	}
	list, err := calls.Disks(w.ctx(), &rpc.DisksRequest{})
	if err != nil || len(list.GetDisks()) != 2 {
		t.Fatalf("disks: %v, %v; want two", list, err)
	}
	for _, d := range list.GetDisks() {
		if d.GetDisk().GetNode() == lagging && d.GetState() != "new" {
			t.Errorf("disk that its node does not know: %v", d)
		}
	}
	open()
	if err := wait(w.ctx()); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"first", "second"} {
		if got, err := os.ReadFile(filepath.Join(dir, place)); err != nil || !bytes.Equal(got, w.now) {
			t.Errorf("disk %s of %d bytes differs from the volume: %v", place, len(got), err)
		}
	}

	open = gates[lagging].shut()
	third := add(lagging, "third")
	done := make(chan error, 1)
	go func() { done <- wait(w.ctx()) }()
	if _, err := calls.RemoveDisk(w.ctx(), &rpc.RemoveDiskRequest{Id: third}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("waiting for a disk that was removed: %v", err)
	}
	open()

	cc, err := rpc.DialNode(c.nodes[lagging].Address(), c.nodes[lagging].opt.TLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	_, err = rpc.NewProviderClient(cc).Disks(w.ctx(), &rpc.DisksRequest{})
	wantErr(t, rpc.FromStatus(err), rpc.ErrNotLeader)
}
