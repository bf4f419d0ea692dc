package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirstor/weir/intercept/ident"
)

// Intake writes the entries of one new point. They count, all of them, from Commit on; before it, lookups at older
// points do not see them. Not safe for concurrent use.
type Intake struct {
	d      *DB
	group  ident.GroupID
	number uint64
	batch  *pebble.Batch
	usage  usageDelta
	key    []byte // scratch
	value  []byte // scratch

	changed map[uint32][]uint64 // slots since the last Flush, by volume
	parts   map[uint32]uint32   // parts of the lists of changed slots written so far, by volume
	flushed bool
}

// Begin begins the point with the number, which must be higher than that of every point of the group. What an earlier,
// unfinished Intake of the group left is removed.
func (d *DB) Begin(g ident.GroupID, number uint64) (*Intake, error) {
	if err := d.cleanIntake(g); err != nil {
		return nil, fmt.Errorf("remove an unfinished point of group %s: %w", g, err)
	}
	return &Intake{d: d, group: g, number: number, batch: d.db.NewBatch(), usage: usageDelta{},
		changed: map[uint32][]uint64{}, parts: map[uint32]uint32{}}, nil
}

// PutSlot writes the slot as it is at the new point. older is the slot as it is at the point before, and own what this
// Intake wrote for it and flushed, nil if nothing. Call it once for a slot between two Flushes.
func (k *Intake) PutSlot(volume uint32, slot uint64, older, own, s *Slot) error {
	for i := range s {
		now, before := s[i].Loc, older[i].Loc
		var mine Loc
		if own != nil {
			mine = own[i].Loc
		}
		if now != (Loc{}) && now != before && now != mine {
			k.usage.born(now.Pack)
		}
		if mine != (Loc{}) && mine != before && mine != now {
			k.usage.dead(mine.Pack)
		}
	}
	k.key = appendSlotKey(k.key[:0], volume, slot, k.number)
	k.value = appendSlot(k.value[:0], s)
	if err := k.batch.Set(k.key, k.value, nil); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	k.changed[volume] = append(k.changed[volume], slot)
	return nil
}

// Len is the size of what was put since the last Flush, in bytes.
func (k *Intake) Len() int { return k.batch.Len() }

// Flush commits what was put so far, so that a new Reader sees it at the new point. Not durable.
func (k *Intake) Flush() error {
	if err := k.putLists(); err != nil {
		return err
	}
	volumes := make([]uint32, 0, len(k.parts))
	for v := range k.parts {
		volumes = append(volumes, v)
	}
	slices.Sort(volumes)
	if err := k.batch.Set(intakeKey(k.group), encodeIntake(k.number, volumes), nil); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	k.flushed = true
	return k.commit(pebble.NoSync)
}

func (k *Intake) putLists() error {
	for v, slots := range k.changed {
		next, err := putChanged(k.batch, v, k.number, k.parts[v], slots)
		if err != nil {
			return err
		}
		k.parts[v] = next
	}
	clear(k.changed)
	return nil
}

func (k *Intake) commit(o *pebble.WriteOptions) error {
	if err := k.usage.write(k.batch); err != nil {
		return err
	}
	if err := k.batch.Commit(o); err != nil {
		return fmt.Errorf("snapshot index: commit: %w", err)
	}
	k.d.applyUsage(k.usage)
	clear(k.usage)
	if err := k.batch.Close(); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	k.batch = k.d.db.NewBatch()
	return nil
}

// Commit makes the point, which must have the group and number of the Intake, and everything put durable and visible.
// The frames that the entries refer to must be durable before. It ends the Intake.
func (k *Intake) Commit(p *Point) error {
	if p.Group != k.group || p.Number != k.number {
		return fmt.Errorf("snapshot index: point %d of group %s does not end the intake of %d of %s", p.Number, p.Group,
			k.number, k.group)
	}
	if err := k.putLists(); err != nil {
		return err
	}
	number := binary.BigEndian.AppendUint64(nil, p.Number)
	err := errors.Join(k.batch.Set(pointKey(p.Group, p.Number), EncodePoint(p), nil),
		k.batch.Set(identityKey(p.Point), number, nil))
	if k.flushed {
		err = errors.Join(err, k.batch.Delete(intakeKey(k.group), nil))
	}
	if err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	if err := k.commit(pebble.Sync); err != nil {
		return err
	}
	return k.batch.Close()
}

// Abort ends the Intake and removes what it has written.
func (k *Intake) Abort() error {
	if err := k.batch.Close(); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	if !k.flushed {
		return nil
	}
	return k.d.cleanIntake(k.group)
}

// encodeIntake returns the value of the record of an unfinished point: the volumes that it has written.
func encodeIntake(number uint64, volumes []uint32) []byte {
	b := binary.AppendUvarint(nil, number)
	b = binary.AppendUvarint(b, uint64(len(volumes)))
	for _, v := range volumes {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func decodeIntake(b []byte) (number uint64, volumes []uint32, err error) {
	d := fields{b: b}
	number = d.uvarint()
	for n := d.below(2*VolumesMax + 1); n > 0 && d.err == nil; n-- {
		volumes = append(volumes, uint32(d.below(1<<32)))
	}
	return number, volumes, d.err
}

// cleanIntake removes the entries of an unfinished point of the group, if there is one. It can be repeated.
func (d *DB) cleanIntake(g ident.GroupID) error {
	v, err := d.get(intakeKey(g))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	number, volumes, err := decodeIntake(v)
	if err != nil {
		return err
	}
	for _, volume := range volumes {
		if err := d.cleanVolume(volume, number); err != nil {
			return err
		}
	}
	if err := d.db.Delete(intakeKey(g), pebble.NoSync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}

func (d *DB) cleanVolume(volume uint32, number uint64) error {
	slots, err := d.Changed(volume, number-1, number)
	if err != nil {
		return err
	}
	e, err := d.newEraser()
	if err != nil {
		return err
	}
	for it := slots.Iterator(); it.HasNext() && err == nil; {
		err = e.erase(volume, it.Next(), number, number-1)
	}
	if err != nil {
		return errors.Join(err, e.close())
	}
	if err := e.finish(); err != nil {
		return err
	}
	if err := d.db.DeleteRange(changedKey(volume, number, 0), changedKey(volume, number+1, 0), pebble.NoSync); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}
