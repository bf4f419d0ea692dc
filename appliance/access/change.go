package access

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/weirstor/weir/intercept/ident"
)

// errRules is why a client is cut off when the rules change.
var errRules = errors.New("the access rules of the volume have changed")

// Set replaces the rules of a volume. A user without secret keeps the one that it has. A revision other than 0 has to be
// that of the rules in force. The rules are on stable storage, and clients that they do not let be as they are, are
// gone, when it returns; an error of ErrRule or ErrConflict has changed nothing. Sharing can not be taken away while
// several clients write.
func (t *Table) Set(ctx context.Context, volume ident.UUID, name string, r Rules) (Rules, error) {
	r = r.clone()
	t.mu.Lock()
	old := t.mu.records[volume].rules
	if r.Revision != 0 && r.Revision != old.Revision {
		t.mu.Unlock()
		return Rules{}, fmt.Errorf("%w: they are at revision %d and the change is one of revision %d", ErrConflict, old.Revision, r.Revision)
	}
	err := r.inherit(&old)
	if err == nil {
		err = r.normalize()
	}
	if err == nil {
		err = t.sharedLocked(volume, &r)
	}
	if err == nil {
		r.Revision = old.Revision + 1
		err = t.writeLocked(volume, record{name, r})
	}
	if err != nil {
		t.mu.Unlock()
		return Rules{}, err
	}
	cut := t.cutLocked(volume, &r)
	t.mu.Unlock()
	return r.clone(), t.gone(ctx, cut)
}

// inherit gives users without secret the one that they have.
func (r *Rules) inherit(old *Rules) error {
	for i, u := range r.Users {
		if u.Secret != "" {
			continue
		}
		have, ok := old.user(u.Name)
		if !ok {
			return fmt.Errorf("%w: user %s is new and has no secret", ErrRule, u.Name)
		}
		r.Users[i].Secret = have.Secret
	}
	if m := r.Mutual; m != nil && m.Secret == "" {
		if old.Mutual == nil || old.Mutual.Name != m.Name {
			return fmt.Errorf("%w: the target is to answer as %s and has no secret for it", ErrRule, m.Name)
		}
		m.Secret = old.Mutual.Secret
	}
	return nil
}

// sharedLocked refuses rules without sharing while several clients that may go on writing do so.
func (t *Table) sharedLocked(volume ident.UUID, r *Rules) error {
	if r.Sharing {
		return nil
	}
	writers := make(map[string]*Place) // by name: a volume, or a clone of one of its points
	for _, id := range t.sortedPlacesLocked() {
		p := t.mu.places[id]
		if p.Volume != volume || p.Reader {
			continue
		}
		if ro, err := r.check(base(p.Name), p.Client); err != nil || ro {
			continue // will be cut off
		}
		first := writers[p.Name]
		if first != nil && first.Client.identity() != p.Client.identity() {
			return fmt.Errorf("%w: %s and %s both write to %s: end one of them with weir session drop %d or %d",
				ErrConflict, first.Client, p.Client, p.Name, first.ID, p.ID)
		}
		writers[p.Name] = p
	}
	return nil
}

// writeLocked makes a record the one in force, and durable.
func (t *Table) writeLocked(volume ident.UUID, rec record) error {
	next := maps.Clone(t.mu.records)
	next[volume] = rec
	if err := save(t.dir, t.key, next); err != nil {
		return err
	}
	t.mu.records = next
	t.wakeLocked()
	return nil
}

// cutLocked cuts off clients that may not stay as they are, and returns their places.
func (t *Table) cutLocked(volume ident.UUID, r *Rules) []uint64 {
	var cut []uint64
	for _, id := range t.sortedPlacesLocked() {
		p := t.mu.places[id]
		if p.Volume != volume {
			continue
		}
		ro, err := r.check(base(p.Name), p.Client)
		u, _ := r.user(p.Client.User)
		stays := err == nil && p.Reader == (ro || p.fixed) && (len(r.Users) == 0 || p.Client.Door != ISCSI || u.Secret == p.secret)
		if !stays {
			p.cut(errRules)
			cut = append(cut, id)
		}
	}
	return cut
}

// Close keeps everybody out of a volume that is about to be deleted, cuts off who is attached and returns when they are
// gone. The rules stay: the volume's points are still there. Reopen takes it back.
func (t *Table) Close(ctx context.Context, volume ident.UUID) error {
	t.mu.Lock()
	t.mu.closed[volume] = true
	var cut []uint64
	for id, p := range t.mu.places {
		if p.Volume == volume && p.Name == base(p.Name) {
			p.cut(errors.New("the volume is being deleted"))
			cut = append(cut, id)
		}
	}
	t.mu.Unlock()
	return t.gone(ctx, cut)
}

// Reopen lets clients in again: the volume itself after a failed deletion, or its points after a successful one.
func (t *Table) Reopen(volume ident.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.closed, volume)
}

// Find returns the volumes, deleted ones too, whose rules were last set under a name.
func (t *Table) Find(name string) []ident.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []ident.UUID
	for _, id := range sortedIDs(t.mu.records) {
		if t.mu.records[id].name == name {
			out = append(out, id)
		}
	}
	return out
}
