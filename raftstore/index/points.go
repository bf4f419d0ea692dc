package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirstor/weir/intercept/ident"
)

// Lookup returns the record of a point, ErrNoPoint if it is not held or being forgotten.
func (d *DB) Lookup(p ident.Point) (*Point, error) {
	v, err := d.get(identityKey(p))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("%w: %v", ErrNoPoint, p)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	if len(v) != 8 {
		return nil, fmt.Errorf("%w: identity record of %d bytes", ErrDamaged, len(v))
	}
	return d.Point(p.Group, binary.BigEndian.Uint64(v))
}

// Point returns the record of the group's point with the number, ErrNoPoint if it is not held or being forgotten.
func (d *DB) Point(g ident.GroupID, number uint64) (*Point, error) {
	v, err := d.get(pointKey(g, number))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("%w: number %d of group %s", ErrNoPoint, number, g)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	p, err := DecodePoint(v)
	if err == nil && p.Forgetting {
		return nil, fmt.Errorf("%w: number %d of group %s is being forgotten", ErrNoPoint, number, g)
	}
	return p, err
}

// Newest returns the point of the group with the highest number, ErrNoPoint if there is none.
func (d *DB) Newest(g ident.GroupID) (*Point, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: pointKey(g, 0), UpperBound: after(pointKey(g, 0)[:17])})
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	defer it.Close()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return nil, fmt.Errorf("snapshot index: %w", err)
		}
		return nil, fmt.Errorf("%w: group %s has none", ErrNoPoint, g)
	}
	v, err := it.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	return DecodePoint(v)
}

// Before returns the kept point of the group with the highest number below the one given, ErrNoPoint if there is none.
func (d *DB) Before(g ident.GroupID, number uint64) (*Point, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: pointKey(g, 0), UpperBound: pointKey(g, number)})
	if err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		if p, err := pointAt(it); err != nil || !p.Forgetting {
			return p, err
		}
	}
	if err := it.Error(); err != nil {
		return nil, fmt.Errorf("snapshot index: %w", err)
	}
	return nil, fmt.Errorf("%w: group %s has none before number %d", ErrNoPoint, g, number)
}

// Numbers calls f with the number of every point of the group, ascending, those being forgotten included.
func (d *DB) Numbers(g ident.GroupID, f func(number uint64, forgetting bool) error) error {
	return d.scan(pointKey(g, 0)[:17], func(k, v []byte) error {
		if len(k) != 25 || len(v) < 2 {
			return fmt.Errorf("%w: point record %x of %d bytes", ErrDamaged, k, len(v))
		}
		return f(binary.BigEndian.Uint64(k[17:]), v[1] != 0)
	})
}

// Groups returns all groups that have a point or an unfinished one.
func (d *DB) Groups() ([]ident.GroupID, error) {
	seen := map[ident.GroupID]bool{}
	for _, kind := range []byte{keyPoint, keyIntake} {
		if err := d.groupsOf(kind, seen); err != nil {
			return nil, err
		}
	}
	groups := make([]ident.GroupID, 0, len(seen))
	for g := range seen {
		groups = append(groups, g)
	}
	return groups, nil
}

// groupsOf finds the groups that have a key of the kind, one seek for each.
func (d *DB) groupsOf(kind byte, seen map[ident.GroupID]bool) error {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	for ok := it.First(); ok; {
		k := it.Key()
		if len(k) < 17 {
			return errors.Join(fmt.Errorf("%w: key %x", ErrDamaged, k), it.Close())
		}
		var g ident.GroupID
		copy(g.UUID[:], k[1:])
		seen[g] = true
		next := after(k[:17])
		ok = next != nil && it.SeekGE(next)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("snapshot index: %w", err)
	}
	return nil
}
