package index

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Reader looks up slots in the index as it was when the Reader was made. Not safe for concurrent use; close it soon,
// since it keeps what it may read from being dropped.
type Reader struct {
	it  *pebble.Iterator
	key []byte
}

// NewReader returns a Reader of what was committed before the call.
func (d *DB) NewReader() (*Reader, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keySlot}, UpperBound: []byte{keySlot + 1}})
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	return &Reader{it: it, key: make([]byte, 0, slotKeyBytes)}, nil
}

// Close ends the use of r.
func (r *Reader) Close() error {
	if err := r.it.Close(); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

// Lookup sets s to the slot as it is at the point with the number, and returns the number of the point that wrote it;
// 0 if none did, and then s is all zero.
func (r *Reader) Lookup(volume uint32, slot, number uint64, s *Slot) (uint64, error) {
	r.key = appendSlotKey(r.key[:0], volume, slot, number)
	if !r.it.SeekPrefixGE(r.key) {
		*s = Slot{}
		return 0, r.failed()
	}
	return r.entry(s)
}

func (r *Reader) failed() error {
	if err := r.it.Error(); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

// entry decodes the entry that the iterator is at and returns its number.
func (r *Reader) entry(s *Slot) (uint64, error) {
	volume, slot, number, err := parseSlotKey(r.it.Key())
	if err != nil {
		return 0, err
	}
	v, err := r.it.ValueAndErr()
	if err != nil {
		return 0, fmt.Errorf("snapshot index: %w", err)
	}
	if err := decodeSlot(v, s); err != nil {
		return 0, fmt.Errorf("slot %d of volume %d at %d: %w", slot, volume, number, err)
	}
	return number, nil
}

// Next finds the first slot from slot from on that has an entry at the point with the number, sets s to it and returns
// it; ok is false when there is none. A slot that was written and is all zero now is found too.
func (r *Reader) Next(volume uint32, from, number uint64, s *Slot) (slot uint64, ok bool, err error) {
	for {
		r.key = appendSlotKey(r.key[:0], volume, from, number)
		if !r.it.SeekGE(r.key) {
			return 0, false, r.failed()
		}
		v, slot, at, err := parseSlotKey(r.it.Key())
		if err != nil || v != volume {
			return 0, false, err
		}
		if at <= number {
			_, err := r.entry(s)
			return slot, err == nil, err
		}
		from = slot
	}
}

// around is an entry with its neighbours in the history of its slot; a number 0 says that there is none.
type around struct {
	entry, older, newer    Slot
	number, before, behind uint64 // of entry, older, newer
}

// lookAround finds the entry of the slot that is visible at the point with the number.
func (r *Reader) lookAround(volume uint32, slot, number uint64, a *around) error {
	*a = around{}
	r.key = appendSlotKey(r.key[:0], volume, slot, number)
	if !r.it.SeekGE(r.key) || !r.at(volume, slot) {
		return r.failed()
	}
	var err error
	if a.number, err = r.entry(&a.entry); err != nil {
		return err
	}
	if r.it.Next() && r.at(volume, slot) {
		if a.before, err = r.entry(&a.older); err != nil {
			return err
		}
	}
	if err := r.failed(); err != nil {
		return err
	}
	r.key = appendSlotKey(r.key[:0], volume, slot, a.number)
	if r.it.SeekLT(r.key) && r.at(volume, slot) {
		if a.behind, err = r.entry(&a.newer); err != nil {
			return err
		}
	}
	return r.failed()
}

func (r *Reader) at(volume uint32, slot uint64) bool {
	v, s, _, err := parseSlotKey(r.it.Key())
	return err == nil && v == volume && s == slot
}
