package disk

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable/durabletest"
)

// crashed is a disk and its sidecar after a power loss, with the range of points that it may show.
type crashed struct {
	durabletest.Crash
	p        *platter
	from, to int // indexes of points; -1: nothing
}

// TestCrashAtEveryStep is G6: a crash before any operation of an apply leaves a disk that is exactly one of the two
// points once it is offered again, and until then says that it is neither.
func TestCrashAtEveryStep(t *testing.T) {
	for seed := range uint64(4) {
		t.Log("seed", seed)
		h := newHistory(seed)
		rng := rand.New(rand.NewPCG(seed, 9))
		rec := durabletest.New(t, seed)
		p := newPlatter()
		p.created = true
		p.step = rec.Step
		var platters []*platter
		from, to := -1, -1
		rec.See = func() any {
			platters = append(platters, p.crash(rng))
			return [2]int{from, to}
		}
		r := newRig(t, h, p, rec, Refuse)
		rec.Start()
		content := make([]byte, 100<<10+512)
		for i := range 4 {
			content = h.mutated(content, i%2 == 1)
			h.add(content)
			to = i
			r.follow()
			from = i
			r.shows(h.points[i])
		}
		for i, c := range rec.Stop() {
			seen := c.Seen.([2]int)
			recovered(t, h, crashed{Crash: c, p: platters[i], from: seen[0], to: seen[1]})
		}
	}
}

// recovered opens a crashed disk when its volume has not moved on, and checks G6.
func recovered(t *testing.T, h *history, c crashed) {
	t.Helper()
	h.head = c.to
	if c.to < 0 {
		return
	}
	r := newRig(t, h, c.p, c.FS, Refuse)
	side, err := loadSidecar(c.FS, r.sidecarPath())
	if err != nil {
		t.Fatalf("operation %d: %v", c.Op, err)
	}
	if side != nil && side.Phase == phaseClean {
		checkExact(t, h, c, side.From)
	}
	if err := r.Follow(context.Background(), h); err != nil {
		t.Fatalf("operation %d: %v", c.Op, err)
	}
	r.shows(h.points[c.to])
	h.head = len(h.points) - 1
	r.follow()
	r.shows(h.points[h.head])
	r.close()
}

// checkExact checks that a disk whose sidecar says clean holds exactly that point, before anything repairs it.
func checkExact(t *testing.T, h *history, c crashed, m mark) {
	t.Helper()
	if m.Point.IsZero() {
		if !bytes.Equal(c.p.content, make([]byte, len(c.p.content))) {
			t.Fatalf("operation %d: a new disk is not zero", c.Op)
		}
		return
	}
	i := int(m.Number) - 1
	if i != c.from && i != c.to {
		t.Fatalf("operation %d: shows point %d, expected %d or %d", c.Op, i, c.from, c.to)
	}
	if !bytes.Equal(c.p.content, h.points[i].content) {
		t.Fatalf("operation %d: the sidecar says clean at point %d, and the disk is not it", c.Op, i)
	}
}

// TestRedoNeedsItsPoint cuts an apply off and lets the point that it was going to disappear: the newest one takes its
// place; without the one that it came from either, nothing can be told any more.
func TestRedoNeedsItsPoint(t *testing.T) {
	for _, c := range []struct {
		name     string
		fromGone bool
		policy   Policy
		want     error
	}{
		{"target gone", false, Refuse, nil},
		{"both gone", true, Refuse, ErrConflict},
		{"both gone, resync", true, Resync, nil},
		{"both gone, overwrite", true, Overwrite, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHistory(4)
			p := newPlatter()
			p.created = true
			r := newRig(t, h, p, vfs.NewMem(), c.policy)
			content := h.mutated(make([]byte, 200<<10), false)
			h.add(content)
			r.follow()
			content = h.mutated(h.mutated(content, false), false)
			h.add(content)
			p.fail = 2
			r.refuses(errWrite)
			if needs := r.Needs(); !slices.Equal(needs, []uint64{1, 2}) {
				t.Fatalf("needs %v", needs)
			}
			r.close()
			last := h.add(h.mutated(content, true))
			h.points[0].gone, h.points[1].gone = c.fromGone, true
			r.open()
			if c.want != nil {
				r.refuses(c.want)
				return
			}
			r.follow()
			r.shows(last)
		})
	}
}
