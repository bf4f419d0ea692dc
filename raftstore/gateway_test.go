package raftstore

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

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
	ctx, cancel := context.WithTimeout(g.t.Context(), 2*time.Minute)
	g.t.Cleanup(cancel)
	return ctx
}

func (g *testGateway) open(takeover bool) error {
	r, err := rpc.NewProviderClient(g.cl).OpenSession(g.ctx(), &rpc.OpenSessionRequest{
		Group: g.group.UUID[:], GroupName: "grp", Gateway: g.id[:], GatewayName: "gw", Takeover: takeover, Replace: true,
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
