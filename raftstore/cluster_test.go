package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/replicate/rpc"
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

	// Of nodes started from here on:
	strayAge       time.Duration
	voterGoneAfter time.Duration

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
		Logger: testLogger(c.t), strayAge: c.strayAge, voterGoneAfter: c.voterGoneAfter, copies: c.openFakeCopies,
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
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
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

// eventually fails the test unless ok becomes true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
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
