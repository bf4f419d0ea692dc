package index

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// usageMerger adds up the changes of a pack's counts, so that points of different groups can be written at once.
var usageMerger = &pebble.Merger{
	Name: "weir.index.usage.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		u, err := decodeUsage(value)
		return &usageSum{u}, err
	},
}

type usageSum struct{ sum Usage }

func (s *usageSum) MergeNewer(value []byte) error {
	u, err := decodeUsage(value)
	s.sum.Live += u.Live
	s.sum.Total += u.Total
	return err
}

func (s *usageSum) MergeOlder(value []byte) error { return s.MergeNewer(value) }

func (s *usageSum) Finish(bool) ([]byte, io.Closer, error) { return encodeUsage(s.sum), nil, nil }

func encodeUsage(u Usage) []byte {
	return binary.AppendVarint(binary.AppendVarint(nil, u.Live), u.Total)
}

func decodeUsage(b []byte) (Usage, error) {
	live, n := binary.Varint(b)
	if n <= 0 {
		return Usage{}, fmt.Errorf("%w: counts of a pack: %x", ErrDamaged, b)
	}
	total, k := binary.Varint(b[n:])
	if k <= 0 || n+k != len(b) {
		return Usage{}, fmt.Errorf("%w: counts of a pack: %x", ErrDamaged, b)
	}
	return Usage{Live: live, Total: total}, nil
}

// usageDelta collects changes of counts, for one batch.
type usageDelta map[uint32]Usage

// born counts a block that an entry refers to for the first time.
func (d usageDelta) born(no uint32) {
	u := d[no]
	u.Live++
	u.Total++
	d[no] = u
}

// dead counts a block that no entry refers to any more.
func (d usageDelta) dead(no uint32) {
	u := d[no]
	u.Live--
	d[no] = u
}

// write adds the changes to a batch.
func (d usageDelta) write(b *pebble.Batch) error {
	for no, u := range d {
		if err := b.Merge(packKey(no), encodeUsage(u), nil); err != nil {
			return fmt.Errorf("snapshot index: %w", err)
		}
	}
	return nil
}

// applyUsage adds the changes of a committed batch to the counts in memory.
func (d *DB) applyUsage(delta usageDelta) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for no, u := range delta {
		sum := d.usage[no]
		sum.Live += u.Live
		sum.Total += u.Total
		d.usage[no] = sum
		if sum.Live == 0 {
			d.dead[no] = true
		}
	}
}

// TakeDead returns the packs that have had no live block since they were last taken. Whoever can not delete one now
// gives it back with PutDead.
func (d *DB) TakeDead() []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var packs []uint32
	for no := range d.dead {
		if d.usage[no].Live == 0 {
			packs = append(packs, no)
		}
	}
	clear(d.dead)
	return packs
}

// PutDead has TakeDead return the pack again.
func (d *DB) PutDead(no uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead[no] = true
}
