package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/target"
)

const (
	explainSlotsMax = 1 << 20 // changed slots that one call looks at: 64 GiB of changes
	explainTries    = 8       // points to compare with that are forgotten meanwhile
)

// Change is a run of blocks of one class that a point changed, in bytes, clipped to the range that was asked for.
type Change struct {
	Off, Len int64
	Class    classify.Class // of the change, as the index keeps it; ZeroBlock for what reads as zeroes
	Zero     bool           // its blocks are all zero at the point
}

// ChangeTotal sums changes.
type ChangeTotal struct {
	Chunks uint64 // runs
	Bytes  uint64
}

// Explanation is what a point changed in a range of a volume.
type Explanation struct {
	Changes []Change                         // in address order
	Totals  [classify.NumClasses]ChangeTotal // by class, of Changes and of what was omitted
	Omitted uint64                           // changes beyond the limit
	Since   ident.Point                      // what the point was compared with; zero: with zeroes
	End     int64                            // bytes; what lies behind it was not looked at

	// Complete says that the changes are those of the point's own epoch. Without it, the point that the epoch was built
	// on is not held any more, and what lies between Since and the point is listed, all epochs together.
	Complete bool
}

// Explain lists what the point changed in [off, off+n) of the volume, 0 for n being to the end, at most limit runs. A
// block that was written with what it held before has not changed. Where more than 64 GiB have changed, it looks at
// the first of them.
func (p *Point) Explain(ctx context.Context, v ident.VolumeID, off, n int64, limit int) (Explanation, error) {
	to, err := p.view(v)
	if err != nil {
		return Explanation{}, err
	}
	if n == 0 {
		n = max(to.size-off, 0)
	}
	if err := target.CheckRange(off, n, to.size); err != nil {
		return Explanation{}, err
	}
	for range explainTries {
		var x Explanation
		if x, err = p.explain(ctx, v, to, off, off+n, limit); !errors.Is(err, ErrNotIngested) {
			return x, err
		}
		if err := p.check(); err != nil {
			return Explanation{}, err
		}
	}
	return Explanation{}, err
}

// Content lists what is not zero in [off, off+n) of the volume at the point, as Explain lists changes: with the class of
// the change that brought it, in whichever epoch that was.
func (p *Point) Content(ctx context.Context, v ident.VolumeID, off, n int64, limit int) (Explanation, error) {
	to, err := p.view(v)
	if err != nil {
		return Explanation{}, err
	}
	if n == 0 {
		n = max(to.size-off, 0)
	}
	if err := target.CheckRange(off, n, to.size); err != nil {
		return Explanation{}, err
	}
	e := explainer{to: to, limit: limit, slotsMax: explainSlotsMax, out: Explanation{End: off + n}}
	if err := e.run(ctx, off, off+n); err != nil {
		return Explanation{}, fmt.Errorf("content of point %v: %w", p.Identity(), err)
	}
	return e.out, p.check()
}

// explain returns ErrNotIngested when p, or the point that it is compared with, was forgotten meanwhile.
func (p *Point) explain(ctx context.Context, v ident.VolumeID, to *view, off, end int64, limit int) (Explanation, error) {
	since, complete, err := p.before()
	if err != nil {
		return Explanation{}, err
	}
	e := explainer{to: to, limit: limit, slotsMax: explainSlotsMax, out: Explanation{Complete: complete, End: end}}
	if since != nil {
		e.out.Since = since.Identity()
		if since.h.Find(v) != nil {
			if e.from, err = since.view(v); err != nil {
				return Explanation{}, err
			}
		}
	}
	if err := e.run(ctx, off, end); err != nil {
		return Explanation{}, fmt.Errorf("explain point %v: %w", p.Identity(), err)
	}
	if since != nil {
		err = since.check()
	}
	return e.out, errors.Join(err, p.check())
}

// before returns the point that p is to be compared with: the one that p's epoch was built on, or, complete being false,
// the nearest that is held. It is nil for the first point, and when nothing before p is held.
func (p *Point) before() (since *Point, complete bool, err error) {
	previous := p.h.commit.Previous
	if previous.IsZero() {
		return nil, true, nil
	}
	since, err = p.g.s.Point(previous)
	if !errors.Is(err, ErrNotIngested) {
		return since, true, err
	}
	rec, err := p.g.s.index.Before(p.h.Group, p.h.Number)
	if isNoPoint(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	since, err = p.g.s.Point(rec.Point)
	return since, false, err
}

// explainer compares a volume at two points.
type explainer struct {
	from, to *view // from nil: zeroes
	limit    int
	slotsMax int
	out      Explanation
	last     Change // not in out yet; Len 0: none
}

func (e *explainer) run(ctx context.Context, off, end int64) error {
	r, err := e.to.s.index.NewReader()
	if err != nil {
		return err
	}
	next, err := e.slots(r)
	looked := 0
	for at := uint64(off / index.SlotBytes); err == nil; looked++ {
		var slot uint64
		var ok bool
		if slot, ok, err = next(at); err != nil || !ok || int64(slot)*index.SlotBytes >= end {
			break
		}
		if looked == e.slotsMax {
			e.out.End = max(off, int64(slot)*index.SlotBytes)
			break
		}
		if err = e.slot(r, slot, off, end); err == nil && looked%1024 == 0 {
			err = ctx.Err()
		}
		at = slot + 1
	}
	e.flush()
	return errors.Join(err, r.Close())
}

// slots returns a function that finds the first slot from the given one on in which the points may differ. Calls of it
// must ascend.
func (e *explainer) slots(r *index.Reader) (func(uint64) (uint64, bool, error), error) {
	var s index.Slot
	to := func(at uint64) (uint64, bool, error) { return r.Next(e.to.volume, at, e.to.number, &s) }
	if e.from == nil {
		return to, nil
	}
	if e.from.volume == e.to.volume {
		changed, err := e.to.s.index.Changed(e.to.volume, e.from.number, e.to.number)
		if err != nil {
			return nil, err
		}
		it := changed.Iterator()
		return func(at uint64) (uint64, bool, error) {
			if it.AdvanceIfNeeded(at); !it.HasNext() {
				return 0, false, nil
			}
			return it.PeekNext(), true, nil
		}, nil
	}
	return func(at uint64) (uint64, bool, error) {
		a, inTo, err := to(at)
		if err != nil {
			return 0, false, err
		}
		b, inFrom, err := r.Next(e.from.volume, at, e.from.number, &s)
		if inFrom && (!inTo || b < a) {
			a = b
		}
		return a, inTo || inFrom, err
	}, nil
}

// slot compares one slot within [off, end).
func (e *explainer) slot(r *index.Reader, slot uint64, off, end int64) error {
	var before, now index.Slot
	if e.from != nil {
		if _, err := r.Lookup(e.from.volume, slot, e.from.number, &before); err != nil {
			return err
		}
	}
	if _, err := r.Lookup(e.to.volume, slot, e.to.number, &now); err != nil {
		return err
	}
	for i := range now {
		at := int64(slot)*index.SlotBytes + int64(i)*leaf.BlockSize
		first, last := max(at, off), min(at+leaf.BlockSize, end)
		if now[i].Leaf != before[i].Leaf && first < last {
			e.add(Change{Off: first, Len: last - first, Class: now[i].Class, Zero: now[i].IsZero()})
		}
	}
	return nil
}

func (e *explainer) add(c Change) {
	if l := &e.last; l.Len > 0 && l.Off+l.Len == c.Off && l.Class == c.Class && l.Zero == c.Zero {
		l.Len += c.Len
		return
	}
	e.flush()
	e.last = c
}

func (e *explainer) flush() {
	if e.last.Len == 0 {
		return
	}
	t := &e.out.Totals[e.last.Class]
	t.Chunks++
	t.Bytes += uint64(e.last.Len)
	if len(e.out.Changes) < e.limit {
		e.out.Changes = append(e.out.Changes, e.last)
	} else {
		e.out.Omitted++
	}
	e.last = Change{}
}
