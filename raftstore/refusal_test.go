package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/peer"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestStaleGatewayIsFenced is G5: after a takeover the earlier gateway changes nothing any more.
func TestStaleGatewayIsFenced(t *testing.T) {
	c := startCluster(t, 3)
	old := c.gateway()
	old.mustOpen()
	old.commit("")
	taker := c.gateway()
	taker.group, taker.timeline, taker.volume, taker.end = old.group, old.timeline, old.volume, old.end
	wantErr(t, taker.open(false), rpc.ErrOwned)
	if err := taker.open(true); err != nil {
		t.Fatal(err)
	}
	p := randomPack(100)
	wantErr(t, old.put(p), rpc.ErrStaleTerm)
	_, err := old.send(old.next("", p), p)
	wantErr(t, err, rpc.ErrStaleTerm)
	wantErr(t, old.open(false), rpc.ErrOwned)
	for name, n := range c.nodes {
		if n.packs.Has(p.ID) {
			t.Errorf("%s stored a pack of the stale session", name)
		}
	}
	taker.commit("")
	if n := len(taker.points()); n != 2 {
		t.Errorf("%d points, want 2", n)
	}
}

// TestCommitOnceAcrossLeaders repeats each commit while leaders come and go: each becomes one point.
func TestCommitOnceAcrossLeaders(t *testing.T) {
	c := startCluster(t, 3)
	g := c.gateway()
	g.mustOpen()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(300)) * time.Millisecond):
				for _, n := range c.nodes {
					_ = n.TransferLeadership() // fails when the next leader is not ready; tried again
				}
			}
		}
	}()
	const commits = 40
	for range commits {
		p := randomPack(200)
		next := g.next("", p)
		first, err := g.send(next, p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.send(next)
		if err != nil || again != first {
			t.Fatalf("again: number %d, want %d: %v", again, first, err)
		}
	}
	close(stop)
	wg.Wait()
	points := g.points()
	if n := points[len(points)-1].GetNumber(); n != commits {
		t.Errorf("last point has number %d after %d commits", n, commits)
	}
}

func TestForeignersAreRefused(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes["n1"]
	foreign := newTestCA(t).issue(roleNode, "n1")
	foreign.ServerName, foreign.RootCAs = n.opt.TLS.ServerName, n.opt.TLS.RootCAs
	bare := n.opt.TLS.Clone()
	bare.Certificates = nil
	old := n.opt.TLS.Clone()
	old.MaxVersion = tls.VersionTLS12
	for name, conf := range map[string]*tls.Config{"another CA": foreign, "no certificate": bare, "TLS 1.2": old} {
		conf.NextProtos = []string{protoRPC}
		conn, err := tls.Dial("tcp", n.Address(), conf)
		if err == nil {
			_, err = io.ReadAll(conn) // TLS 1.3: the verdict comes after the handshake
			_ = conn.Close()
		}
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: let in", name)
		}
	}
	gateway := c.ca.issue("gateway", "gw")
	gateway.NextProtos = []string{protoRaft}
	conn, err := tls.Dial("tcp", n.Address(), gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a gateway speaks Raft: %v", err)
	}
}

func TestNodeOnlyCalls(t *testing.T) {
	c := startCluster(t, 1)
	cl := c.client()
	ctx := t.Context()
	p := randomPack(10)
	_, err := rpc.PutPack(ctx, cl, &rpc.PutPackRequest{ID: p.ID, Data: p.Bytes, Forwarded: true})
	wantErr(t, err, rpc.ErrBadRequest)
	_, err = rpc.FetchPack(ctx, cl, &rpc.FetchPackRequest{Id: p.ID[:]})
	wantErr(t, err, rpc.ErrBadRequest)
	_, err = rpc.NewProviderClient(cl).Join(ctx, &rpc.JoinRequest{Id: "x/1", Name: "x", Address: "127.0.0.1:1"})
	wantErr(t, err, rpc.ErrBadRequest)
	for name, ask := range map[string]func(peer.PeerClient) error{
		"has":    func(p peer.PeerClient) error { _, err := p.Has(ctx, &peer.HasRequest{}); return err },
		"report": func(p peer.PeerClient) error { _, err := p.Report(ctx, &peer.ReportRequest{}); return err },
	} {
		if err := rpc.FromStatus(ask(peer.NewPeerClient(cl))); !errors.Is(err, rpc.ErrBadRequest) {
			t.Errorf("%s for a gateway: %v", name, err)
		}
	}
}

// TestBadInput sends what no client of ours would; each is refused by name and the node goes on.
func TestBadInput(t *testing.T) {
	c := startCluster(t, 1)
	g := c.gateway()
	g.mustOpen()
	ctx := t.Context()
	calls := rpc.NewProviderClient(g.cl)
	point := rpc.FromPoint(ident.Point{Group: g.group, Timeline: g.timeline, End: 1})
	short := []byte{1, 2, 3}
	big := string(make([]byte, meta.MaxTextBytes+1))
	c1 := g.next("")
	for name, tc := range map[string]struct {
		want error
		call func() error
	}{
		"session of no group":  {rpc.ErrBadRequest, func() error { _, err := calls.OpenSession(ctx, &rpc.OpenSessionRequest{}); return err }},
		"session, short group": {rpc.ErrBadRequest, func() error { _, err := calls.OpenSession(ctx, &rpc.OpenSessionRequest{Group: short}); return err }},
		"session, endless name": {rpc.ErrBadRequest, func() error {
			_, err := calls.OpenSession(ctx, &rpc.OpenSessionRequest{Group: g.group.UUID[:], Gateway: g.id[:], GroupName: big})
			return err
		}},
		"commit of nothing": {rpc.ErrBadRequest, func() error { _, err := calls.Commit(ctx, &rpc.CommitRequest{}); return err }},
		"commit of another group": {rpc.ErrBadRequest, func() error {
			_, err := calls.Commit(ctx, &rpc.CommitRequest{Group: g.id[:], Term: g.term, Commit: c1.Encode()})
			return err
		}},
		"commit, stray pack": {rpc.ErrBadRequest, func() error { _, err := g.send(c1, randomPack(9)); return err }},
		"commit, future term": {rpc.ErrStaleTerm, func() error {
			_, err := calls.Commit(ctx, &rpc.CommitRequest{Group: g.group.UUID[:], Term: 99, Commit: c1.Encode()})
			return err
		}},
		"have, short ID": {rpc.ErrBadRequest, func() error {
			_, err := calls.HavePacks(ctx, &rpc.HavePacksRequest{Group: g.group.UUID[:], Term: g.term, Packs: []*rpc.PackRef{{Id: short}}})
			return err
		}},
		"put, wrong ID":       {rpc.ErrBadRequest, func() error { p := randomPack(9); p.ID[5]++; return g.put(p) }},
		"put, no pack":        {rpc.ErrBadRequest, func() error { return g.put(pack.Pack{Ref: pack.Ref{ID: pack.Sum(short)}, Bytes: short}) }},
		"points of nothing":   {rpc.ErrUnknown, func() error { _, err := calls.Points(ctx, &rpc.PointsRequest{Group: g.id[:]}); return err }},
		"points, short group": {rpc.ErrBadRequest, func() error { _, err := calls.Points(ctx, &rpc.PointsRequest{Group: short}); return err }},
		"name nothing":        {rpc.ErrBadRequest, func() error { _, err := calls.NamePoint(ctx, &rpc.NamePointRequest{}); return err }},
		"name, endless": {rpc.ErrBadRequest, func() error {
			_, err := calls.NamePoint(ctx, &rpc.NamePointRequest{Point: point, Name: big})
			return err
		}},
		"name an unknown point": {rpc.ErrUnknown, func() error {
			_, err := calls.NamePoint(ctx, &rpc.NamePointRequest{Point: point, Name: "x"})
			return err
		}},
		"delete an unknown point": {rpc.ErrUnknown, func() error {
			_, err := calls.DeletePoints(ctx, &rpc.DeletePointsRequest{Points: []*rpc.Point{point}})
			return err
		}},
		"retention of nothing": {rpc.ErrUnknown, func() error { _, err := calls.SetRetention(ctx, &rpc.SetRetentionRequest{Group: g.id[:]}); return err }},
		"read, short volume": {rpc.ErrBadRequest, func() error {
			_, err := calls.ReadPoint(ctx, &rpc.ReadPointRequest{Point: point, Volume: short})
			return err
		}},
		"read too much": {rpc.ErrBadRequest, func() error {
			_, err := calls.ReadPoint(ctx, &rpc.ReadPointRequest{Point: point, Volume: g.id[:], Length: 1 << 31})
			return err
		}},
		"read before the start": {rpc.ErrBadRequest, func() error {
			_, err := calls.ReadPoint(ctx, &rpc.ReadPointRequest{Point: point, Volume: g.id[:], Offset: -1})
			return err
		}},
		"leaves, too many": {rpc.ErrBadRequest, func() error {
			_, err := calls.Leaves(ctx, &rpc.LeavesRequest{Point: point, Volume: g.id[:], Count: 1 << 31})
			return err
		}},
		"extents, negative": {rpc.ErrBadRequest, func() error {
			_, err := calls.PointExtents(ctx, &rpc.PointExtentsRequest{Point: point, Volume: g.id[:], Length: -1})
			return err
		}},
		"explain unknown": {rpc.ErrUnknown, func() error { _, err := calls.ExplainPoint(ctx, &rpc.ExplainPointRequest{Point: point}); return err }},
		"disk of nothing": {rpc.ErrBadRequest, func() error { _, err := calls.AddDisk(ctx, &rpc.AddDiskRequest{}); return err }},
		"disk of unknown kind": {rpc.ErrBadRequest, func() error {
			_, err := calls.AddDisk(ctx, &rpc.AddDiskRequest{Disk: &rpc.Disk{Group: g.group.UUID[:], Volume: g.id[:], Kind: "tape", Place: "x"}})
			return err
		}},
		"disk at unknown node": {rpc.ErrUnknown, func() error {
			_, err := calls.AddDisk(ctx, &rpc.AddDiskRequest{Disk: &rpc.Disk{Group: g.group.UUID[:], Volume: g.id[:], Kind: "raw", Place: "x", Node: "nowhere"}})
			return err
		}},
		"remove unknown disk": {rpc.ErrUnknown, func() error { _, err := calls.RemoveDisk(ctx, &rpc.RemoveDiskRequest{Id: g.id[:]}); return err }},
		"verify unknown disk": {rpc.ErrUnknown, func() error { _, err := calls.VerifyDisk(ctx, &rpc.VerifyDiskRequest{Id: g.id[:]}); return err }},
		"remove unknown node": {rpc.ErrUnknown, func() error { _, err := calls.Remove(ctx, &rpc.RemoveRequest{Name: "nobody"}); return err }},
		"wait for no group": {rpc.ErrUnknown, func() error {
			_, err := calls.WaitPoint(ctx, &rpc.WaitPointRequest{Point: &rpc.Point{Group: g.id[:], Timeline: g.id[:], Digest: make([]byte, 32)}})
			return err
		}},
	} {
		if err := tc.call(); !errors.Is(err, tc.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tc.want)
		}
	}
	g.end, g.head = 0, ident.Point{}
	g.commit("")
}

// TestRandomBytes throws rubbish at the port, before and after the handshake.
func TestRandomBytes(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes["n1"]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	rubbish := func() []byte {
		b := make([]byte, 1+rng.IntN(4000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for i := range 60 {
		raw, err := net.Dial("tcp", n.Address())
		if err != nil {
			t.Fatal(err)
		}
		conn := raw
		if i%3 > 0 {
			conf := c.ca.issue(roleNode, "x")
			conf.NextProtos = []string{[]string{protoRPC, protoRaft}[i%2]}
			conn = tls.Client(raw, conf)
		}
		_, _ = conn.Write(rubbish()) // the node may hang up at any byte
		_ = conn.Close()
	}
	g := c.gateway()
	g.mustOpen()
	g.commit("")
}

// TestPanicIsContained checks that a fault inside a call ends that call only.
func TestPanicIsContained(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes["n1"]
	cc, err := rpc.DialNode(n.Address(), n.opt.TLS, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	g := c.gateway()
	g.mustOpen()
	p := g.next("")
	if _, err := g.send(p); err != nil {
		t.Fatal(err)
	}
	n.copies.(*fakeCopies).panics.Store(true)
	_, err = rpc.NewProviderClient(cc).ReadPoint(t.Context(), &rpc.ReadPointRequest{Point: rpc.FromPoint(p.Point()), Volume: g.volume.UUID[:], Length: 1})
	if status.Code(err) != codes.Internal {
		t.Errorf("error is %v, want Internal", err)
	}
	n.copies.(*fakeCopies).panics.Store(false)
	g.commit("")
}
