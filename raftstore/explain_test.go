package raftstore

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/protobuf/proto"
)

// explain asks one node what a point changed.
func (w *writer) explain(n *Node, q *rpc.ExplainPointRequest) (*rpc.ExplainPointReply, error) {
	cc, err := rpc.DialNode(n.Address(), n.opt.TLS, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cc.Close()
	r, err := rpc.NewProviderClient(cc).ExplainPoint(w.ctx(), q)
	return r, rpc.FromStatus(err)
}

// sameChanges holds an explanation against what is different between two contents, in blocks.
func (w *writer) sameChanges(r *rpc.ExplainPointReply, before, now []byte) {
	w.t.Helper()
	got := make([]bool, len(now)/4096)
	var listed uint64
	for _, c := range r.GetChunks() {
		for at := c.GetOffset(); at < c.GetOffset()+c.GetLength(); at += 4096 {
			got[at/4096] = true
		}
		listed += uint64(c.GetLength())
	}
	for _, t := range r.GetTotals() {
		listed -= t.GetBytes()
	}
	if listed != 0 {
		w.t.Errorf("totals %v are not those of the chunks %v", r.GetTotals(), r.GetChunks())
	}
	for i := range got {
		if want := !bytes.Equal(before[i*4096:][:4096], now[i*4096:][:4096]); got[i] != want {
			w.t.Fatalf("block %d: explained as changed: %v, want %v", i, got[i], want)
		}
	}
}

func TestExplainPoint(t *testing.T) {
	c := startRealCluster(t, 3)
	w := newWriter(t, c.gateway(), 2<<20, rand.Uint64())
	w.mustOpen()
	var points []ident.Point
	contents := [][]byte{make([]byte, 2<<20)}
	for range 3 {
		points = append(points, w.epoch(""))
		contents = append(contents, bytes.Clone(w.now))
	}
	w.sameEverywhere(c, points[2])
	for i, p := range points {
		q := &rpc.ExplainPointRequest{Point: rpc.FromPoint(p), Volume: w.volume.UUID[:]}
		for name, n := range c.nodes {
			r, err := w.explain(n, q)
			if err != nil || !r.GetComplete() || r.GetEnd() != 2<<20 || len(r.GetVolumes()) != 1 || r.GetOmitted() != 0 {
				t.Fatalf("%s, point %d: %v, %v", name, i, r, err)
			}
			if want := append([]ident.Point{{}}, points...)[i]; !proto.Equal(r.GetSince(), rpc.FromPoint(want)) {
				t.Errorf("%s, point %d: since %v, want %v", name, i, r.GetSince(), want)
			}
			w.sameChanges(r, contents[i], contents[i+1])
		}
	}
	// Without the point between, what both epochs changed is told, and that it is.
	if _, err := rpc.NewProviderClient(w.cl).DeletePoints(w.ctx(), &rpc.DeletePointsRequest{Points: []*rpc.Point{rpc.FromPoint(points[1])}}); err != nil {
		t.Fatal(err)
	}
	q := &rpc.ExplainPointRequest{Point: rpc.FromPoint(points[2]), Volume: w.volume.UUID[:]}
	n := c.nodes[c.leader()]
	eventually(t, "the node forgets a point", func() bool {
		_, err := n.copies.Point(points[1])
		return err != nil
	})
	r, err := w.explain(n, q)
	if err != nil || r.GetComplete() || !proto.Equal(r.GetSince(), rpc.FromPoint(points[0])) {
		t.Fatalf("without the point before: %v, %v", r, err)
	}
	w.sameChanges(r, contents[1], contents[3])
	q.Limit, q.Offset, q.Length = 1, r.GetChunks()[0].GetOffset()+4096, 100
	if r, err = w.explain(n, q); err != nil || len(r.GetChunks()) > 1 || r.GetEnd() != q.Offset+100 {
		t.Errorf("a range: %v, %v", r, err)
	}
	q.Offset = 2 << 20
	_, err = w.explain(n, q)
	wantErr(t, err, rpc.ErrBadRequest)
	q.Offset, q.Volume = -1, w.volume.UUID[:]
	_, err = w.explain(n, q)
	wantErr(t, err, rpc.ErrBadRequest)
}

// TestExplainPasses asks a node that does not hold the point.
func TestExplainPasses(t *testing.T) {
	c := startCluster(t, 2)
	g := c.gateway()
	g.mustOpen()
	commit, _ := g.commit("")
	q := &rpc.ExplainPointRequest{Point: rpc.FromPoint(commit.Point()), Volume: g.volume.UUID[:]}
	w := &writer{testGateway: g}
	for _, n := range c.nodes {
		eventually(t, "nodes take the point in", func() bool { return n.copies.Verified(g.group) == commit.Point() })
	}
	n := c.nodes[c.follower()]
	f := n.copies.(*fakeCopies)
	f.mu.Lock()
	delete(f.verified, g.group)
	f.mu.Unlock()
	if r, err := w.explain(n, q); err != nil || len(r.GetVolumes()) != 1 {
		t.Errorf("passed on: %v, %v", r, err)
	}
}
