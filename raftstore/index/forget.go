package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirstor/weir/intercept/ident"
)

// eraseBatch is the number of entries removed with one batch.
const eraseBatch = 4096

// eraser removes entries and counts off the blocks that die with them.
type eraser struct {
	d     *DB
	r     *Reader
	batch *pebble.Batch
	usage usageDelta
	count int
	a     around
}

func (d *DB) newEraser() (*eraser, error) {
	r, err := d.NewReader()
	if err != nil {
		return nil, err
	}
	return &eraser{d: d, r: r, batch: d.db.NewBatch(), usage: usageDelta{}}, nil
}

// erase removes the entry of the slot that is visible at the point with the number if it was written above floor.
// A block dies with the entry unless the entry before or the one behind has it at the same place too: a block keeps its
// place as long as it is not changed.
func (e *eraser) erase(volume uint32, slot, number, floor uint64) error {
	if err := e.r.lookAround(volume, slot, number, &e.a); err != nil {
		return err
	}
	if e.a.number <= floor {
		return nil
	}
	for i := range e.a.entry {
		if at := e.a.entry[i].Loc; at != (Loc{}) && at != e.a.older[i].Loc && at != e.a.newer[i].Loc {
			e.usage.dead(at.Pack)
		}
	}
	if err := e.batch.Delete(appendSlotKey(nil, volume, slot, e.a.number), nil); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	if e.count++; e.count%eraseBatch == 0 {
		return e.commit()
	}
	return nil
}

// commit applies what was erased so far and begins a batch, with a Reader that sees what is left.
func (e *eraser) commit() error {
	err := e.usage.write(e.batch)
	if err == nil {
		err = e.batch.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, e.close()); err != nil {
		return fmt.Errorf("snapshot index: erase: %w", err)
	}
	e.d.applyUsage(e.usage)
	clear(e.usage)
	if e.r, err = e.d.NewReader(); err == nil {
		e.batch = e.d.db.NewBatch()
	}
	return err
}

// finish applies the rest and ends the use of e.
func (e *eraser) finish() error { return errors.Join(e.commit(), e.close()) }

// close ends the use of e, without what was erased since the last commit.
func (e *eraser) close() error {
	var err error
	if e.batch != nil {
		err = e.batch.Close()
	}
	if e.r != nil {
		err = errors.Join(err, e.r.Close())
	}
	e.batch, e.r = nil, nil
	return err
}

// Forget removes the point and every entry that no other point of the group sees. The newest point of a group is only
// forgotten by ForgetLast. The point can not be looked up from the beginning of the call on; a Forget that a crash cut off is
// completed by calling it again, and Numbers tells of it. Nothing of it is durable before Sync. TakeDead tells which
// store packs are not needed any more. hidden, if not nil, is called when lookups do not find the point any more and
// before anything that it sees is removed.
func (d *DB) Forget(g ident.GroupID, number uint64, hidden func()) error {
	return d.forget(g, number, false, hidden)
}

// ForgetLast is Forget for the newest point of a group that the node does not hold any more, too.
func (d *DB) ForgetLast(g ident.GroupID, number uint64, hidden func()) error {
	return d.forget(g, number, true, hidden)
}

func (d *DB) forget(g ident.GroupID, number uint64, last bool, hidden func()) error {
	v, err := d.get(pointKey(g, number))
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("forget: %w: number %d of group %s", ErrNoPoint, number, g)
	}
	if err != nil {
		return fmt.Errorf("forget point %d of group %s: %w", number, g, err)
	}
	p, err := DecodePoint(v)
	if err != nil {
		return err
	}
	before, next, err := d.neighbours(g, number)
	if err != nil {
		return err
	}
	if next == nil && !last {
		return fmt.Errorf("forget point %d of group %s: it is the newest", number, g)
	}
	if err := d.beginForget(p); err != nil {
		return err
	}
	if hidden != nil {
		hidden()
	}
	for i := range p.Volumes {
		if err := d.forgetVolume(&p.Volumes[i], number, before, next); err != nil {
			return fmt.Errorf("forget point %d of group %s: %w", number, g, err)
		}
	}
	if err := d.db.Delete(pointKey(g, number), pebble.NoSync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

// beginForget hides the point.
func (d *DB) beginForget(p *Point) error {
	p.Forgetting = true
	b := d.db.NewBatch()
	err := errors.Join(b.Set(pointKey(p.Group, p.Number), EncodePoint(p), nil), b.Delete(identityKey(p.Point), nil),
		b.Commit(pebble.NoSync), b.Close())
	if err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

// neighbours returns the number of the kept point before the one with the number, 0 if there is none, and the record of
// the one behind it, nil if there is none.
func (d *DB) neighbours(g ident.GroupID, number uint64) (before uint64, next *Point, err error) {
	switch p, err := d.Before(g, number); {
	case err == nil:
		before = p.Number
	case !errors.Is(err, ErrNoPoint):
		return 0, nil, err
	}
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: pointKey(g, 0), UpperBound: after(pointKey(g, 0)[:17])})
	if err != nil {
		return 0, nil, fmt.Errorf("snapshot index: %w", err)
	}
	defer it.Close()
	for ok := it.SeekGE(pointKey(g, number+1)); ok && next == nil; ok = it.Next() {
		p, err := pointAt(it)
		if err != nil {
			return 0, nil, err
		}
		if !p.Forgetting {
			next = p
		}
	}
	if err := it.Error(); err != nil {
		return 0, nil, fmt.Errorf("snapshot index: %w", err)
	}
	return before, next, nil
}

func pointAt(it *pebble.Iterator) (*Point, error) {
	v, err := it.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	return DecodePoint(v)
}

// forgetVolume removes the entries of a volume that only the point sees. Of a slot that was written again up to the
// next point those are the ones above the point before; of a volume that the next point lacks, all of those. next is nil
// for the newest point.
func (d *DB) forgetVolume(v *Volume, number, before uint64, next *Point) error {
	e, err := d.newEraser()
	if err != nil {
		return err
	}
	end := number
	if next != nil {
		end = next.Number
	}
	if next.has(v) {
		err = d.eraseRewritten(e, v.Number, number, before, end)
	} else {
		err = d.eraseAll(e, v.Number, number, before)
	}
	if err != nil {
		return errors.Join(err, e.close())
	}
	if err := e.finish(); err != nil || before != 0 {
		return err
	}
	if err := d.db.DeleteRange(changedKey(v.Number, 0, 0), changedKey(v.Number, end+1, 0), pebble.NoSync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

func (d *DB) eraseRewritten(e *eraser, volume uint32, number, before, next uint64) error {
	slots, err := d.Changed(volume, number, next)
	if err != nil {
		return err
	}
	for it := slots.Iterator(); it.HasNext() && err == nil; {
		err = e.erase(volume, it.Next(), number, before)
	}
	return err
}

func (d *DB) eraseAll(e *eraser, volume uint32, number, before uint64) error {
	r, err := d.NewReader()
	if err != nil {
		return err
	}
	var s Slot
	slot, ok, err := r.Next(volume, 0, number, &s)
	for ; ok && err == nil; slot, ok, err = r.Next(volume, slot+1, number, &s) {
		if err = e.erase(volume, slot, number, before); err != nil {
			break
		}
	}
	return errors.Join(err, r.Close())
}
