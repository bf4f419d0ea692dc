package raftstore

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
)

// replicas returns which nodes count for a group, sorted, and which join it.
func (c *testCluster) replicas(g ident.GroupID) (replicas, joining []string) {
	c.t.Helper()
	n := c.nodes[c.leader()]
	info, err := try(n.fsm, func(s *meta.State) (meta.Group, error) { return s.Group(g) })
	if err != nil {
		c.t.Fatal(err)
	}
	return slices.Sorted(slices.Values(info.Replicas)), info.Joining
}

// TestGrow begins with one node and adds two: the group moves on to all three, with its content, and survives the loss
// of the first.
func TestGrow(t *testing.T) {
	c := startRealCluster(t, 1)
	w := newWriter(t, c.gateway(), 4<<20, rand.Uint64())
	w.mustOpen()
	for range 3 {
		w.epoch("")
	}
	c.start("n2")
	c.start("n3")
	head := w.epoch("")
	eventually(t, "the new nodes become replicas", func() bool {
		r, joining := c.replicas(w.group)
		return len(r) == 3 && len(joining) == 0
	})
	w.sameEverywhere(c, head)
	c.stop("n1")
	w.cl = c.client() // the gateway is told of the new nodes
	head = w.epoch("")
	w.sameEverywhere(c, head)
}

// TestRemoveLastVoter: the only voter stays, and leads on.
func TestRemoveLastVoter(t *testing.T) {
	c := startRealCluster(t, 1)
	n := c.nodes[c.leader()]
	if err := n.expel(n.Name()); !errors.Is(err, rpc.ErrInUse) {
		t.Errorf("removing the only voter: %v, want in use", err)
	}
	if !n.Leading() {
		t.Error("the only voter does not lead any more")
	}
}

// TestRemoveNode takes a node out of four while a gateway writes: its groups move to the fourth.
func TestRemoveNode(t *testing.T) {
	c := startRealCluster(t, 4)
	w := newWriter(t, c.gateway(), 4<<20, rand.Uint64())
	w.mustOpen()
	w.epoch("")
	before, _ := c.replicas(w.group)
	gone := before[0]
	calls := rpc.NewProviderClient(w.cl)
	if _, err := calls.Remove(w.ctx(), &rpc.RemoveRequest{Name: gone}); err != nil {
		t.Fatal(err)
	}
	c.stop(gone)
	delete(c.addrs, gone)
	head := w.epoch("")
	eventually(t, "another node takes over", func() bool {
		r, joining := c.replicas(w.group)
		return len(r) == 3 && len(joining) == 0 && !slices.Contains(r, gone)
	})
	w.sameEverywhere(c, head)
	st, err := calls.Status(w.ctx(), &rpc.StatusRequest{})
	if err != nil || len(st.GetNodes()) != 3 {
		t.Errorf("status after removal: %v, %v", st.GetNodes(), err)
	}
	_, err = calls.Remove(w.ctx(), &rpc.RemoveRequest{Name: gone})
	wantErr(t, err, rpc.ErrUnknown)
}

// TestNewAddress restarts nodes at other addresses, alone and among others.
func TestNewAddress(t *testing.T) {
	for _, n := range []int{1, 3} {
		c := startCluster(t, n)
		g := c.gateway()
		g.mustOpen()
		g.commit("")
		moved := c.leader()
		c.stop(moved)
		delete(c.addrs, moved)
		if n == 1 {
			c.addrs["unused"] = "127.0.0.1:1" // so that the node founds nothing anew
			opt := c.options(moved)
			opt.Join = nil
			c.openWith(moved, opt)
		} else {
			c.open(moved)
		}
		node := c.nodes[moved]
		eventually(t, "the others know the new address", func() bool {
			for _, o := range c.nodes {
				known, _ := try(o.fsm, func(s *meta.State) (meta.Node, bool) { return s.Node(moved) })
				if known.Address != node.Address() {
					return false
				}
			}
			return true
		})
		delete(c.addrs, "unused")
		g.cl = c.client()
		last, _ := g.commit("")
		eventually(t, "the moved node follows", func() bool { return node.copies.Verified(g.group) == last.Point() })
		c.close()
		clear(c.nodes)
	}
}

// TestFoldersAreNotMixed opens folders that belong to others.
func TestFoldersAreNotMixed(t *testing.T) {
	c := startCluster(t, 1)
	opt := c.options("n1")
	opt.Listen = "127.0.0.1:0"
	if n, err := Open(opt); err == nil {
		t.Error("a folder in use was opened again")
		_ = n.Close()
	}
	c.stop("n1")
	for what, change := range map[string]func(*Options){
		"another name":         func(o *Options) { o.Name = "n2"; o.TLS = c.ca.issue(roleNode, "n2") },
		"another cluster":      func(o *Options) { o.TLS = newTestCA(t).issue(roleNode, "n1") },
		"a gateway's identity": func(o *Options) { o.TLS = c.ca.issue("gateway", "n1") },
		"no certificate":       func(o *Options) { o.TLS = nil },
		"nothing to listen on": func(o *Options) { o.Listen = "" },
		"found and join":       func(o *Options) { o.Bootstrap, o.Join = true, []string{"127.0.0.1:1"} },
		"a damaged node.json": func(o *Options) {
			o.DataDir = t.TempDir()
			if err := os.WriteFile(filepath.Join(o.DataDir, "node.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		o := opt
		change(&o)
		if n, err := Open(o); err == nil {
			t.Errorf("%s: opened", what)
			_ = n.Close()
		}
	}
	c.start("n1")
}

// TestLeaderIsQuick holds a node alone to its promise: it leads at once, not after an election's wait.
func TestLeaderIsQuick(t *testing.T) {
	began := time.Now()
	c := startCluster(t, 1)
	c.leader()
	t.Logf("leading after %v", time.Since(began))
	c.stop("n1")
	began = time.Now()
	c.start("n1")
	c.leader()
	t.Logf("leading again after %v", time.Since(began))
}

// TestSnapshotTravels has a new node start from a Raft snapshot, the log before it gone.
func TestSnapshotTravels(t *testing.T) {
	c := startRealCluster(t, 1)
	w := newWriter(t, c.gateway(), 2<<20, rand.Uint64())
	w.mustOpen()
	for range 5 {
		w.epoch("")
	}
	n := c.nodes["n1"]
	rc := n.raft.ReloadableConfig()
	rc.TrailingLogs = 0
	if err := n.raft.ReloadConfig(rc); err != nil {
		t.Fatal(err)
	}
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	c.start("n2")
	c.start("n3")
	head := w.epoch("")
	w.sameEverywhere(c, head)
	c.stop("n1")
	c.start("n1")
	var states [][]byte
	for _, n := range c.nodes {
		eventually(t, "all have applied the same", func() bool {
			return view(n.fsm, func(s *meta.State) bool { h, err := s.Head(w.group); return err == nil && h.Point == head })
		})
	}
	eventually(t, "equal states", func() bool {
		states = nil
		for _, n := range c.nodes {
			var b bytes.Buffer
			n.fsm.read(func(s *meta.State) { _, _ = s.Clone().WriteTo(&b) })
			states = append(states, b.Bytes())
		}
		return bytes.Equal(states[0], states[1]) && bytes.Equal(states[0], states[2])
	})
}
