package raftstore

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// writer is a gateway with a volume in memory, whose epochs it packages really.
type writer struct {
	*testGateway
	rng     *rand.Rand
	encoder *codec.Encoder
	old     memory
	now     memory
	state   leaf.State
	first   bool
}

// memory is content as a codec.View.
type memory []byte

func (m memory) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(m)) {
		copy(p, m[off:])
	}
	return nil
}

func newWriter(t testing.TB, g *testGateway, size int, seed uint64) *writer {
	t.Logf("seed %d", seed)
	return &writer{
		testGateway: g, rng: rand.New(rand.NewPCG(seed, 7)), encoder: codec.NewEncoder(codec.Options{}),
		old: make(memory, size), now: make(memory, size), first: true,
	}
}

// write changes a few ranges and returns them as one epoch, packaged.
func (w *writer) write(name string) (*replicate.Commit, []pack.Pack) {
	w.t.Helper()
	off := int64(w.rng.IntN(len(w.now)/4096-64)) * 4096
	n := int64(1+w.rng.IntN(32)) * 4096
	for i := range n {
		w.now[off+i] = byte(w.rng.Uint32())
	}
	change := codec.VolumeChange{
		Volume: w.volume, Size: int64(len(w.now)), Extents: []codec.Extent{{Off: off, Len: n}},
		Old: w.old, New: w.now, State: w.state,
	}
	var packs []pack.Pack
	sum, err := w.encoder.Encode(w.t.Context(), []codec.VolumeChange{change}, func(p pack.Pack) error {
		packs = append(packs, p)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.encoder.Accept()
	w.state = sum.Volumes[0].State
	copy(w.old[off:off+n], w.now[off:off+n])
	c := w.next(name, packs...)
	c.Volumes[0].Size, c.Volumes[0].State, c.Volumes[0].Counts = int64(len(w.now)), w.state, sum.Volumes[0].Counts
	return c, packs
}

// epoch writes, puts and commits.
func (w *writer) epoch(name string) ident.Point {
	w.t.Helper()
	c, packs := w.write(name)
	if _, err := w.send(c, packs...); err != nil {
		w.t.Fatal(err)
	}
	return c.Point()
}

// read returns the volume at a point as one node tells it.
func (w *writer) read(n *Node, p ident.Point) ([]byte, error) {
	cc, err := rpc.DialNode(n.Address(), n.opt.TLS, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cc.Close()
	var out []byte
	for off := 0; off < len(w.now); off += 1 << 20 {
		r, err := rpc.NewProviderClient(cc).ReadPoint(w.ctx(), &rpc.ReadPointRequest{
			Point: rpc.FromPoint(p), Volume: w.volume.UUID[:], Offset: int64(off), Length: uint32(min(1<<20, len(w.now)-off)),
		})
		if err != nil {
			return nil, rpc.FromStatus(err)
		}
		out = append(out, r.GetData()...)
	}
	return out, nil
}

// sameEverywhere waits until each node holds a point itself, and compares the content.
func (w *writer) sameEverywhere(c *testCluster, p ident.Point) {
	w.t.Helper()
	for name, n := range c.nodes {
		eventually(w.t, name+" takes the head in", func() bool { return n.copies.Verified(w.group) == p })
		got, err := w.read(n, p)
		if err != nil || !bytes.Equal(got, w.now) {
			w.t.Fatalf("%s: content differs at %s: %v", name, p, err)
		}
	}
}

func TestContentOnThreeNodes(t *testing.T) {
	c := startRealCluster(t, 3)
	w := newWriter(t, c.gateway(), 4<<20, rand.Uint64())
	w.mustOpen()
	var head ident.Point
	for range 10 {
		head = w.epoch("")
	}
	w.sameEverywhere(c, head)
	leader := c.leader()
	c.stop(leader)
	for range 5 {
		w.epoch("")
	}
	c.start(leader)
	head = w.epoch("")
	w.sameEverywhere(c, head)
}

func TestDiskFollows(t *testing.T) {
	c := startRealCluster(t, 3)
	w := newWriter(t, c.gateway(), 2<<20, rand.Uint64())
	w.mustOpen()
	w.epoch("")
	calls := rpc.NewProviderClient(w.cl)
	path := filepath.Join(t.TempDir(), "disk")
	added, err := calls.AddDisk(w.ctx(), &rpc.AddDiskRequest{Disk: &rpc.Disk{
		Group: w.group.UUID[:], Volume: w.volume.UUID[:], VolumeName: "v", Node: c.follower(), Kind: "raw", Place: path,
	}})
	if err != nil {
		t.Fatal(err)
	}
	var head ident.Point
	for range 8 {
		head = w.epoch("")
	}
	if _, err := calls.WaitPoint(w.ctx(), &rpc.WaitPointRequest{Point: rpc.FromPoint(head), Disks: true}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, w.now) {
		t.Fatalf("disk of %d bytes differs from the volume: %v", len(got), err)
	}
	list, err := calls.Disks(w.ctx(), &rpc.DisksRequest{})
	if err != nil || len(list.GetDisks()) != 1 || list.GetDisks()[0].GetState() != "clean" {
		t.Errorf("disks: %v, %v", list, err)
	}
	state := w.state.Bytes()
	v, err := calls.VerifyDisk(w.ctx(), &rpc.VerifyDiskRequest{Id: added.GetDisk().GetId()})
	if err != nil || len(v.GetDifferences()) > 0 || v.GetBlocks() != 512 ||
		!bytes.Equal(v.GetStateHashWant(), state[:]) || !bytes.Equal(v.GetStateHashGot(), state[:]) {
		t.Errorf("verify: %v, %v; want state hash %x", v, err, state)
	}
	if _, err := calls.RemoveDisk(w.ctx(), &rpc.RemoveDiskRequest{Id: added.GetDisk().GetId()}); err != nil {
		t.Error(err)
	}
}

// TestNewNodeCopies replaces a node by one with an empty folder after the wire packs were released: the new one must
// get the content from its peers.
func TestNewNodeCopies(t *testing.T) {
	c := startRealCluster(t, 3)
	w := newWriter(t, c.gateway(), 4<<20, rand.Uint64())
	w.mustOpen()
	var head ident.Point
	for range 5 {
		head = w.epoch("")
	}
	w.sameEverywhere(c, head)
	eventually(t, "wire packs are released and deleted everywhere", func() bool {
		for _, n := range c.nodes {
			if count, _ := n.packs.Usage(); count > 0 {
				return false
			}
		}
		return true
	})
	gone := c.follower()
	c.stop(gone)
	if err := os.RemoveAll(filepath.Join(c.dir, gone)); err != nil {
		t.Fatal(err)
	}
	c.start(gone)
	w.sameEverywhere(c, head)
	head = w.epoch("")
	w.sameEverywhere(c, head)
	if n := len(c.nodes[gone].voters()); n != 3 {
		t.Errorf("%d voters after the node was replaced, want 3", n)
	}
}
