package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/cockroachdb/pebble/v2"
)

// changedPartMax is the number of slots in one part of the list of changed slots.
const changedPartMax = 1 << 16

// appendChanged appends the encoding of a part, ascending slots without repeats, to b.
func appendChanged(b []byte, slots []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(slots)))
	last := uint64(0)
	for _, s := range slots {
		b = binary.AppendUvarint(b, s-last)
		last = s
	}
	return b
}

// decodeChanged calls f with the slots of a part.
func decodeChanged(b []byte, f func(slot uint64)) error {
	d := fields{b: b}
	last := uint64(0)
	for n := d.below(changedPartMax + 1); n > 0 && d.err == nil; n-- {
		last += d.uvarint()
		if d.err == nil {
			f(last)
		}
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%w: %d bytes behind a list of slots", ErrDamaged, len(d.b))
	}
	return d.err
}

// putChanged writes a list of slots, which it sorts, as parts from number part on, and returns the next part number.
func putChanged(b *pebble.Batch, volume uint32, number uint64, part uint32, slots []uint64) (uint32, error) {
	slices.Sort(slots)
	slots = slices.Compact(slots)
	for len(slots) > 0 {
		n := min(len(slots), changedPartMax)
		if err := b.Set(changedKey(volume, number, part), appendChanged(nil, slots[:n]), nil); err != nil {
			return part, fmt.Errorf("snapshot index: %w", err)
		}
		part++
		slots = slots[n:]
	}
	return part, nil
}

// Changed returns the slots of the volume that points with numbers above from, up to and including to, have written.
// The point from must be kept, since lists older than the oldest kept point are dropped.
func (d *DB) Changed(volume uint32, from, to uint64) (*roaring64.Bitmap, error) {
	set := roaring64.New()
	it, err := d.db.NewIter(&pebble.IterOptions{
		LowerBound: changedKey(volume, from+1, 0), UpperBound: changedKey(volume, to+1, 0)})
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = decodeChanged(v, func(slot uint64) { set.Add(slot) })
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("changed slots of volume %d: %w", volume, err), it.Close())
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	return set, nil
}
