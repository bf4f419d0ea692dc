package index

import (
	"errors"
	"fmt"
)

// Written is what one point wrote to one slot.
type Written struct {
	Volume       uint32
	Slot, Number uint64
	Newer        uint64 // number of the next point that wrote the slot; 0: none has
}

// Entries calls f with every entry, those of a slot one after the other, newest first, and with the slot at that point,
// valid during the call. It reads the whole index as it was when it was called.
func (d *DB) Entries(f func(e Written, s *Slot) error) error {
	r, err := d.NewReader()
	if err != nil {
		return err
	}
	var last Written
	var s Slot
	for ok := r.it.First(); ok && err == nil; ok = r.it.Next() {
		var e Written
		if e.Volume, e.Slot, e.Number, err = parseSlotKey(r.it.Key()); err != nil {
			break
		}
		if last.Volume == e.Volume && last.Slot == e.Slot {
			e.Newer = last.Number
		}
		if _, err = r.entry(&s); err != nil {
			err = fmt.Errorf("entry of volume %d, slot %d, point %d: %w", e.Volume, e.Slot, e.Number, err)
			break
		}
		err = f(e, &s)
		last = e
	}
	if err == nil {
		err = r.failed()
	}
	return errors.Join(err, r.Close())
}
