package replica

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target"
)

// changedBlocks returns, for every block of now, whether it is another one than in before.
func changedBlocks(before, now []byte) []bool {
	block := func(b []byte, at int) leaf.Leaf {
		if at >= len(b) {
			return 0
		}
		return leaf.Of(b[at:min(at+leaf.BlockSize, len(b))])
	}
	out := make([]bool, blockCount(int64(len(now))))
	for i := range out {
		out[i] = block(before, i*leaf.BlockSize) != block(now, i*leaf.BlockSize)
	}
	return out
}

// explains compares what a point is said to have changed in a volume, in [off, end), with the source's memory.
func (n *node) explains(src *source, p *sourcePoint, v ident.VolumeID, off, end int64) {
	n.tb.Helper()
	q, err := n.Point(p.point)
	if err != nil {
		n.tb.Fatal(err)
	}
	x, err := q.Explain(context.Background(), v, off, end-off, 1<<20)
	if err != nil {
		n.tb.Fatal(err)
	}
	previous := p.entry.Commit.Previous
	_, err = n.Point(previous)
	if held := previous.IsZero() || err == nil; x.Complete != held || held && x.Since != previous {
		n.tb.Fatalf("point %d: complete is %v, since %v; previous is %v, held: %v", p.entry.Number, x.Complete, x.Since, previous, held)
	}
	var before []byte
	for _, o := range src.points {
		if o.point == x.Since {
			before = o.content[v]
		}
	}
	now := p.content[v]
	changed := changedBlocks(before, now)
	var totals [classify.NumClasses]ChangeTotal
	at := off
	for _, c := range x.Changes {
		first := c.Off / leaf.BlockSize * leaf.BlockSize
		last := min((c.Off+c.Len+leaf.BlockSize-1)/leaf.BlockSize*leaf.BlockSize, int64(len(now)))
		if c.Off < at || c.Len <= 0 || c.Off+c.Len > end || c.Zero != leaf.IsZero(now[first:last]) || c.Zero != (c.Class == classify.ZeroBlock) {
			n.tb.Fatalf("point %d: change %+v of [%d, %d) behind %d", p.entry.Number, c, off, end, at)
		}
		for ; at < c.Off+c.Len; at = min(at/leaf.BlockSize*leaf.BlockSize+leaf.BlockSize, end) {
			if want := at >= c.Off; changed[at/leaf.BlockSize] != want {
				n.tb.Fatalf("point %d, block at %d: changed is %v, explained %v", p.entry.Number, at, !want, want)
			}
		}
		totals[c.Class].Chunks++
		totals[c.Class].Bytes += uint64(c.Len)
	}
	for ; at < end; at = at/leaf.BlockSize*leaf.BlockSize + leaf.BlockSize {
		if changed[at/leaf.BlockSize] {
			n.tb.Fatalf("point %d, block at %d has changed and is not listed", p.entry.Number, at)
		}
	}
	if x.Totals != totals || x.Omitted != 0 || x.End != end {
		n.tb.Fatalf("point %d: totals %v, omitted %d, end %d; want %v, 0, %d", p.entry.Number, x.Totals, x.Omitted, x.End, totals, end)
	}
}

// TestExplain compares the changes of random epochs, with points forgotten and histories cut off, with the source.
func TestExplain(t *testing.T) {
	for _, seed := range []uint64{11, 12, 13, 14} {
		t.Run("", func(t *testing.T) {
			t.Log("seed", seed)
			src := newSource(t, seed)
			src.addVolume(600<<10 + 512)
			n := newNode(t, vfs.NewMem(), src, nil)
			var keep []*sourcePoint
			for range 10 {
				src.step(len(keep) > 3, keep)
				p := src.seal()
				n.Advance(p.entry)
				n.wait(p, false)
				keep = append(keep, p)
				if src.rng.IntN(3) == 0 {
					keep = src.forget(keep, p)
					n.Reconcile(src.group, kept(keep))
					n.settle()
				}
				for _, p := range keep {
					for v, content := range p.content {
						size := int64(len(content))
						off := src.rng.Int64N(size)
						n.explains(src, p, v, 0, size)
						n.explains(src, p, v, off, off+1+src.rng.Int64N(size-off))
					}
				}
			}
		})
	}
}

func TestExplainLimits(t *testing.T) {
	src := newSource(t, 21)
	v := src.addVolume(4 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	for i := range 5 {
		v.write(int64(i)<<19, src.random(8192))
	}
	v.write(3<<20, src.random(4096))
	first := src.seal()
	v.zero(3<<20, 4096)
	second := src.seal()
	for _, p := range []*sourcePoint{first, second} {
		n.Advance(p.entry)
	}
	n.wait(second, false)
	q, err := n.Point(first.point)
	if err != nil {
		t.Fatal(err)
	}
	x, err := q.Explain(t.Context(), v.id, 0, 0, 2)
	if err != nil || len(x.Changes) != 2 || x.Omitted != 4 || x.End != 4<<20 || !x.Complete || !x.Since.IsZero() {
		t.Errorf("explained %+v, %v; want 2 changes and 4 omitted", x, err)
	}
	w, err := q.view(v.id)
	if err != nil {
		t.Fatal(err)
	}
	e := explainer{to: w, limit: 9, slotsMax: 2, out: Explanation{End: 4 << 20}}
	if err := e.run(t.Context(), 0, 4<<20); err != nil || len(e.out.Changes) != 2 || e.out.End != 2<<19 {
		t.Errorf("explained %+v, %v; want to stop before the third change at %d", e.out, err, 2<<19)
	}
	if q, err = n.Point(second.point); err != nil {
		t.Fatal(err)
	}
	x, err = q.Explain(t.Context(), v.id, 0, 0, 9)
	if want := (Change{Off: 3 << 20, Len: 4096, Zero: true}); err != nil || len(x.Changes) != 1 || x.Changes[0] != want || x.Since != first.point {
		t.Errorf("explained %+v, %v; want %+v since %v", x, err, want, first.point)
	}
	if _, err := q.Explain(t.Context(), v.id, 4<<20, 1, 9); !errors.Is(err, target.ErrOutOfRange) {
		t.Errorf("behind the end: %v, want ErrOutOfRange", err)
	}
	if _, err := q.Explain(t.Context(), ident.VolumeID{UUID: ident.NewUUID()}, 0, 0, 9); !errors.Is(err, ErrNoVolume) {
		t.Errorf("strange volume: %v, want ErrNoVolume", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Explain(ctx, v.id, 0, 0, 9); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
