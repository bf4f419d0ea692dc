package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirstor/weir/intercept/ident"
)

// Entry is a slot as it is at the point with the number, and at newer ones up to the next Entry.
type Entry struct {
	Number uint64
	Slot   Slot
}

// Mover changes where entries say that blocks are, so that a store pack can be emptied. Nobody else may write entries of
// the same volumes meanwhile: between Entries and Commit they must stay as they are. Not safe for concurrent use.
type Mover struct {
	d       *DB
	r       *Reader
	batch   *pebble.Batch
	usage   usageDelta
	entries []Entry
}

// NewMover returns a Mover that sees what was committed before the call.
func (d *DB) NewMover() (*Mover, error) {
	r, err := d.NewReader()
	if err != nil {
		return nil, err
	}
	return &Mover{d: d, r: r, batch: d.db.NewBatch(), usage: usageDelta{}}, nil
}

// Entries returns the whole history of the slot, newest first, as it was when the Mover was made. Valid until the next
// call of a method.
func (m *Mover) Entries(volume uint32, slot uint64) ([]Entry, error) {
	m.entries = m.entries[:0]
	m.r.key = appendSlotKey(m.r.key[:0], volume, slot, 1<<64-1)
	for ok := m.r.it.SeekGE(m.r.key); ok && m.r.at(volume, slot); ok = m.r.it.Next() {
		var e Entry
		var err error
		if e.Number, err = m.r.entry(&e.Slot); err != nil {
			return nil, err
		}
		m.entries = append(m.entries, e)
	}
	return m.entries, m.r.failed()
}

// Move has the entries of the slot say that blocks are where to maps their places. The new places are durable already.
// Call it once for a slot.
func (m *Mover) Move(volume uint32, slot uint64, to map[Loc]Loc) error {
	entries, err := m.Entries(volume, slot)
	if err != nil {
		return err
	}
	var newer Slot // as it was
	for k := range entries {
		e := &entries[k]
		was, changed := e.Slot, false
		for i := range e.Slot {
			at := was[i].Loc
			next, ok := to[at]
			if !ok || at == (Loc{}) {
				continue
			}
			e.Slot[i].Loc, changed = next, true
			if newer[i].Loc != at { // the newest entry of a stretch that has the block there
				m.usage.dead(at.Pack)
				m.usage.born(next.Pack)
			}
		}
		newer = was
		if !changed {
			continue
		}
		if err := m.batch.Set(appendSlotKey(nil, volume, slot, e.Number), appendSlot(nil, &e.Slot), nil); err != nil {
			return fmt.Errorf("snapshot index: %w", err)
		}
	}
	return nil
}

// Commit applies what was moved. It is visible on return, and durable after Sync. Entries then sees what is there now.
func (m *Mover) Commit() error {
	err := m.usage.write(m.batch)
	if err == nil {
		err = m.batch.Commit(pebble.NoSync)
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return fmt.Errorf("snapshot index: move: %w", err)
	}
	m.d.applyUsage(m.usage)
	clear(m.usage)
	if m.r, err = m.d.NewReader(); err == nil {
		m.batch = m.d.db.NewBatch()
	}
	return err
}

// Close ends the use of m, without what was moved since the last Commit.
func (m *Mover) Close() error {
	var err error
	if m.batch != nil {
		err = m.batch.Close()
	}
	if m.r != nil {
		err = errors.Join(err, m.r.Close())
	}
	m.batch, m.r = nil, nil
	return err
}

// Volumes calls f with every volume of every point, those being forgotten included; a volume comes once for each of its
// points.
func (d *DB) Volumes(f func(g ident.GroupID, v Volume)) error {
	return d.scan([]byte{keyPoint}, func(_, value []byte) error {
		p, err := DecodePoint(value)
		if err != nil {
			return err
		}
		for _, v := range p.Volumes {
			f(p.Group, v)
		}
		return nil
	})
}
