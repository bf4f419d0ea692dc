package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testLogger(t testing.TB) *slog.Logger {
	if os.Getenv("WEIR_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) { return os.Stderr.Write(b) }

// testCluster is a cluster of nodes in one process, on loopback, with real TLS.
type testCluster struct {
	t     testing.TB
	ca    *testCA
	dir   string
	nodes map[string]*Node
	addrs map[string]string
	real  bool // nodes take points in really

	strayAge time.Duration // of nodes started from here on

	mu     sync.Mutex
	faults map[string]func(step) error // by node
	fakes  map[string]*fakeDisk        // by server ID
}

func newTestCluster(t testing.TB) *testCluster {
	t.Helper()
	c := &testCluster{t: t, ca: newTestCA(t), dir: t.TempDir(), nodes: map[string]*Node{}, addrs: map[string]string{}, fakes: map[string]*fakeDisk{}}
	t.Cleanup(c.close)
	return c
}

// startCluster starts nodes n1 … and waits until all are members.
func startCluster(t testing.TB, n int) *testCluster {
	t.Helper()
	return newTestCluster(t).startNodes(n)
}

// startRealCluster is startCluster with nodes that take points in, decoded and verified.
func startRealCluster(t testing.TB, n int) *testCluster {
	t.Helper()
	c := newTestCluster(t)
	c.real = true
	return c.startNodes(n)
}

func (c *testCluster) startNodes(n int) *testCluster {
	c.t.Helper()
	for i := 1; i <= n; i++ {
		c.start(fmt.Sprintf("n%d", i))
	}
	return c
}

// start starts a node: the first founds the cluster, others join it; a node that was there comes back.
func (c *testCluster) start(name string) *Node {
	c.t.Helper()
	n := c.open(name)
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	if err := n.WaitReady(ctx); err != nil {
		c.t.Fatalf("start %s: %v", name, err)
	}
	return n
}

func (c *testCluster) options(name string) Options {
	opt := Options{
		Name: name, DataDir: filepath.Join(c.dir, name), TLS: c.ca.issue(roleNode, name),
		Logger: testLogger(c.t), strayAge: c.strayAge, copies: c.openFakeCopies,
		fault: func(s step) error {
			c.mu.Lock()
			f := c.faults[name]
			c.mu.Unlock()
			if f == nil {
				return nil
			}
			return f(s)
		},
	}
	if c.real {
		opt.copies = nil
	}
	if c.addrs[name] == "" && len(c.addrs) == 0 {
		opt.Bootstrap = true
	}
	for other, a := range c.addrs {
		if other != name {
			opt.Join = append(opt.Join, a)
		}
	}
	return opt
}

func (c *testCluster) open(name string) *Node {
	c.t.Helper()
	return c.openWith(name, c.options(name))
}

func (c *testCluster) openWith(name string, opt Options) *Node {
	c.t.Helper()
	addr := c.addrs[name]
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var err error
	if opt.Listener, err = net.Listen("tcp", addr); err != nil {
		c.t.Fatal(err)
	}
	n, err := Open(opt)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes[name], c.addrs[name] = n, n.Address()
	return n
}

func (c *testCluster) stop(name string) {
	c.t.Helper()
	if err := c.nodes[name].Close(); err != nil {
		c.t.Errorf("close %s: %v", name, err)
	}
	delete(c.nodes, name)
}

func (c *testCluster) close() {
	var wg sync.WaitGroup
	for name, n := range c.nodes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := n.Close(); err != nil {
				c.t.Errorf("close %s: %v", name, err)
			}
		}()
	}
	wg.Wait()
}

// arm makes a node die at a step: the call there is not answered, and died is closed so that the test stops the node.
func (c *testCluster) arm(name string, at step) (died chan struct{}) {
	died = make(chan struct{})
	var once sync.Once
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = map[string]func(step) error{name: func(s step) error {
		if s != at {
			return nil
		}
		once.Do(func() { close(died) })
		return status.Error(codes.Unavailable, "the node dies here")
	}}
	return died
}

func (c *testCluster) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// leader waits for a leader and returns its name.
func (c *testCluster) leader() string {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for name, n := range c.nodes {
			if n.Leading() {
				return name
			}
		}
	}
	c.t.Fatal("no leader within 30 s")
	return ""
}

func (c *testCluster) follower() string {
	leader := c.leader()
	for name := range c.nodes {
		if name != leader {
			return name
		}
	}
	c.t.Fatal("no follower")
	return ""
}

// client returns a client with a gateway's certificate.
func (c *testCluster) client() *rpc.Client {
	c.t.Helper()
	var addrs []string
	for _, a := range c.addrs {
		addrs = append(addrs, a)
	}
	cl, err := rpc.Dial(rpc.ClientOptions{Addresses: addrs, TLS: c.ca.issue("gateway", "gw")})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// testGateway is a gateway's side of one group.
type testGateway struct {
	t        testing.TB
	cl       *rpc.Client
	id       ident.UUID
	group    ident.GroupID
	volume   ident.VolumeID
	timeline ident.Timeline
	term     uint64
	head     ident.Point
	end      ident.Seq
}

func (c *testCluster) gateway() *testGateway {
	return &testGateway{
		t: c.t, cl: c.client(), id: ident.NewUUID(), group: ident.GroupID{UUID: ident.NewUUID()},
		volume: ident.VolumeID{UUID: ident.NewUUID()}, timeline: ident.Timeline{UUID: ident.NewUUID()},
	}
}

func (g *testGateway) ctx() context.Context {
	ctx, cancel := context.WithTimeout(g.t.Context(), 30*time.Second)
	g.t.Cleanup(cancel)
	return ctx
}

func (g *testGateway) open(takeover bool) error {
	r, err := rpc.NewProviderClient(g.cl).OpenSession(g.ctx(), &rpc.OpenSessionRequest{
		Group: g.group.UUID[:], GroupName: "grp", Gateway: g.id[:], GatewayName: "gw", Takeover: takeover,
	})
	if err != nil {
		return err
	}
	g.term = r.GetTerm()
	g.head, err = rpc.ToPoint(r.GetHead())
	return err
}

func (g *testGateway) mustOpen() {
	g.t.Helper()
	if err := g.open(false); err != nil {
		g.t.Fatal(err)
	}
}

func randomPack(size int) pack.Pack {
	w := pack.NewWriter(pack.Wire)
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	if _, err := w.Append(1, b); err != nil {
		panic(err)
	}
	return w.Finish()
}

// next returns the commit after the head, with packs.
func (g *testGateway) next(name string, packs ...pack.Pack) *replicate.Commit {
	g.end += 10
	c := &replicate.Commit{
		Group: g.group, Timeline: g.timeline, Previous: g.head, First: g.end - 9, End: g.end, Time: 1000, Name: name,
		Volumes: []replicate.VolumeState{{Volume: g.volume, Name: "v", Size: 1 << 20, BlockSize: 4096, State: leaf.State{Lo: uint64(g.end)}}},
	}
	for _, p := range packs {
		c.Packs = append(c.Packs, p.Ref)
	}
	return c
}

func (g *testGateway) put(p pack.Pack) error {
	_, err := rpc.PutPack(g.ctx(), g.cl, &rpc.PutPackRequest{Group: g.group, Term: g.term, ID: p.ID, Data: p.Bytes})
	return err
}

func (g *testGateway) send(c *replicate.Commit, inline ...pack.Pack) (uint64, error) {
	q := &rpc.CommitRequest{Group: g.group.UUID[:], Term: g.term, Commit: c.Encode()}
	for _, p := range inline {
		q.Packs = append(q.Packs, p.Bytes)
	}
	r, err := rpc.NewProviderClient(g.cl).Commit(g.ctx(), q)
	if err != nil {
		return 0, err
	}
	g.head = c.Point()
	return r.GetNumber(), nil
}

// commit makes one more point with a small pack inline.
func (g *testGateway) commit(name string) (*replicate.Commit, uint64) {
	g.t.Helper()
	p := randomPack(300)
	c := g.next(name, p)
	n, err := g.send(c, p)
	if err != nil {
		g.t.Fatalf("commit at %d: %v", c.End, err)
	}
	return c, n
}

func (g *testGateway) points() []*rpc.PointInfo {
	g.t.Helper()
	r, err := rpc.NewProviderClient(g.cl).Points(g.ctx(), &rpc.PointsRequest{Group: g.group.UUID[:]})
	if err != nil {
		g.t.Fatal(err)
	}
	return r.GetPoints()
}

// fakeCopies takes points in without decoding them: a point is verified once all of its packs are here.
type fakeCopies struct {
	n      *Node
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	panics atomic.Bool
	*fakeDisk

	queue []replica.Entry
	wake  chan struct{}
}

// fakeDisk is what fakeCopies would find again after a restart.
type fakeDisk struct {
	mu       sync.Mutex
	verified map[ident.GroupID]ident.Point
	numbers  map[ident.GroupID]uint64
}

func (c *testCluster) openFakeCopies(n *Node) (copies, error) {
	c.mu.Lock()
	disk := c.fakes[n.ID()]
	if disk == nil {
		disk = &fakeDisk{verified: map[ident.GroupID]ident.Point{}, numbers: map[ident.GroupID]uint64{}}
		c.fakes[n.ID()] = disk
	}
	c.mu.Unlock()
	f := &fakeCopies{n: n, fakeDisk: disk, wake: make(chan struct{}, 1)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wg.Add(1)
	go f.run()
	return f, nil
}

func (f *fakeCopies) run() {
	defer f.wg.Done()
	for {
		select {
		case <-f.wake:
		case <-f.ctx.Done():
			return
		}
		f.mu.Lock()
		queue := f.queue
		f.queue = nil
		f.mu.Unlock()
		for _, e := range queue {
			f.take(e)
		}
	}
}

func (f *fakeCopies) take(e replica.Entry) {
	f.mu.Lock()
	known := e.Number <= f.numbers[e.Commit.Group]
	f.mu.Unlock()
	if known {
		return
	}
	for _, ref := range e.Commit.Packs {
		for !f.n.packs.Has(ref.ID) && f.ctx.Err() == nil {
			b, err := f.n.fetch(f.ctx, e.Commit.Group, ref.ID)
			if err == nil {
				err = f.n.packs.Put(ref.ID, b)
			}
			if err != nil && !sleep(f.ctx, 20*time.Millisecond) {
				return
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verified[e.Commit.Group], f.numbers[e.Commit.Group] = e.Commit.Point(), e.Number
}

func (f *fakeCopies) Advance(e replica.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, e)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fakeCopies) Reconcile(_ ident.GroupID, kept []replica.Entry) {
	for _, e := range kept {
		f.Advance(e)
	}
}

func (f *fakeCopies) Forget(ident.GroupID, ...uint64) {}

func (f *fakeCopies) SetDisks([]replica.DiskSpec) {}

func (f *fakeCopies) Point(p ident.Point) (reader, error) {
	if f.panics.Load() {
		panic("asked for")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.verified[p.Group] != p {
		return nil, replica.ErrNotIngested
	}
	return fakeReader{}, nil
}

func (f *fakeCopies) Verified(g ident.GroupID) ident.Point {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.verified[g]
}

func (f *fakeCopies) WaitApplied(context.Context, ident.Point, bool) error { return nil }
func (f *fakeCopies) Err(ident.GroupID) error                              { return nil }
func (f *fakeCopies) Disks() []replica.DiskStatus                          { return nil }

func (f *fakeCopies) VerifyDisk(context.Context, ident.UUID) (replica.Report, error) {
	return replica.Report{}, replica.ErrNoDisk
}

func (f *fakeCopies) Close() error {
	f.cancel()
	f.wg.Wait()
	return nil
}

// fakeReader is a volume of which every byte is 7.
type fakeReader struct{}

func (fakeReader) ReadAt(_ ident.VolumeID, p []byte, _ int64) error {
	for i := range p {
		p[i] = 7
	}
	return nil
}

func (fakeReader) Extents(_ ident.VolumeID, off, n int64) ([]target.Extent, error) {
	return []target.Extent{{Off: off, Len: n, Kind: target.Data}}, nil
}

func (fakeReader) Leaves(_ ident.VolumeID, _ uint64, count int) ([]leaf.Leaf, error) {
	return make([]leaf.Leaf, count), nil
}

func (fakeReader) Device(ident.VolumeID) (target.Device, error) { return nil, replica.ErrNoVolume }

// eventually fails the test unless ok becomes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error is %v, want %v", got, want)
	}
}
