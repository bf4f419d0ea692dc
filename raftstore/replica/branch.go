package replica

import "github.com/weirstor/weir/raftstore/index"

// branch prepares a point that does not build on the newest one: a history that was cut off stays readable as far as
// its points are kept, and the new point begins with the slots of base where the two differ.
func (l *landing) branch(newest *held) error {
	if newest == nil || l.base == nil || newest.Number == l.base.Number {
		return nil
	}
	var err error
	if l.reader, err = l.s.index.NewReader(); err != nil {
		return err
	}
	for _, v := range l.order {
		switch {
		case v.old == nil:
			continue
		case v.old.volume == v.number:
			err = l.revert(v, newest.Number)
		default:
			err = l.adopt(v)
		}
		if err != nil {
			return err
		}
	}
	return l.flush()
}

// revert writes the slots that points after base have changed as they were at base.
func (l *landing) revert(v *landVolume, newest uint64) error {
	slots, err := l.s.index.Changed(v.number, l.base.Number, newest)
	if err != nil {
		return err
	}
	var older, now index.Slot
	for it := slots.Iterator(); it.HasNext(); {
		slot := it.Next()
		if _, err := l.reader.Lookup(v.number, slot, newest, &older); err != nil {
			return err
		}
		if _, err := l.reader.Lookup(v.number, slot, l.base.Number, &now); err != nil {
			return err
		}
		if older == now {
			continue
		}
		if err := l.intake.PutSlot(v.number, slot, &older, nil, &now); err != nil {
			return err
		}
	}
	return nil
}

// adopt writes the slots of a volume that the newest point lacks under its new number.
func (l *landing) adopt(v *landVolume) error {
	var none, s index.Slot
	slot, ok, err := l.reader.Next(v.old.volume, 0, l.base.Number, &s)
	for ; ok && err == nil; slot, ok, err = l.reader.Next(v.old.volume, slot+1, l.base.Number, &s) {
		if s == none {
			continue
		}
		if err := l.intake.PutSlot(v.number, slot, &none, nil, &s); err != nil {
			return err
		}
	}
	return err
}
