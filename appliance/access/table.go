package access

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/ident"
)

// ErrConflict says that rules can not be changed as things are.
var ErrConflict = errors.New("access rules can not be changed so")

const (
	leaveTime = 5 * time.Second  // that a writer which has just gone is waited for
	cutTime   = 20 * time.Second // that a client which was cut off is waited for
)

// Table knows the rules of all volumes and who is attached. Its methods are safe for concurrent use.
type Table struct {
	dir   string
	key   cipher.AEAD
	leave time.Duration

	mu struct {
		sync.Mutex
		records map[ident.UUID]record
		closed  map[ident.UUID]bool // nobody gets in any more
		places  map[uint64]*Place
		last    uint64
		changed chan struct{} // closed, and made anew, when a place is given back or rules change
	}
}

// Place is a client that is attached. What it says does not change.
type Place struct {
	ID     uint64 // counts from 1
	Volume ident.UUID
	Name   string // of the volume, or VOLUME@POINT
	Client Client
	Since  time.Time
	Reader bool // may only read

	table  *Table
	fixed  bool // it can not be written in any case
	cut    func(error)
	secret Secret // that its user has proved
}

// ReadOnly reports whether the client may only read.
func (p *Place) ReadOnly() bool { return p.Reader }

// Open reads the rules in folder dir, which is made when it is not there. Damaged rules are an error: ErrDamaged,
// ErrKey.
func Open(dir string) (*Table, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("access rules: %w", err)
	}
	key, err := openKey(dir)
	if err != nil {
		return nil, err
	}
	records, err := load(dir, key)
	if err != nil {
		return nil, err
	}
	t := &Table{dir: dir, key: key, leave: leaveTime}
	t.mu.records = records
	t.mu.closed, t.mu.places = make(map[ident.UUID]bool), make(map[uint64]*Place)
	t.mu.changed = make(chan struct{})
	return t, nil
}

// Rules returns the rules of a volume; the caller owns them.
func (t *Table) Rules(volume ident.UUID) Rules {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.records[volume].rules.clone()
}

// Check says whether a client may attach a volume now, and whether it may only read; it does not look at who is
// attached. The error is a Refusal.
func (t *Table) Check(volume ident.UUID, name string, c Client) (readOnly bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.checkLocked(volume, name, c)
}

func (t *Table) checkLocked(volume ident.UUID, name string, c Client) (bool, error) {
	if t.mu.closed[volume] {
		return false, refuse("volume %s is being deleted", name)
	}
	r := t.mu.records[volume].rules
	return r.check(base(name), c)
}

// base returns the volume of VOLUME@POINT.
func base(name string) string {
	v, _, _ := strings.Cut(name, "@")
	return v
}

// Attach gives a client its place. readOnly says that it can not write in any case. While another client that writes is
// attached to a volume that is not shared, it waits for that one to leave, up to some seconds or the end of ctx. The
// error is a Refusal. cut is called, from anywhere and while locks are held, when the place is to be given back at once;
// it must not block or call the Table.
func (t *Table) Attach(ctx context.Context, volume ident.UUID, name string, c Client, readOnly bool, cut func(error)) (*Place, error) {
	ctx, cancel := context.WithTimeout(ctx, t.leave)
	defer cancel()
	for {
		p, changed, err := t.try(volume, name, c, readOnly, cut)
		if changed == nil {
			return p, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// try is one attempt. If changed is not nil, it may go better when that is closed.
func (t *Table) try(volume ident.UUID, name string, c Client, readOnly bool, cut func(error)) (p *Place, changed <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ro, err := t.checkLocked(volume, name, c)
	if err != nil {
		return nil, nil, err
	}
	rules := t.mu.records[volume].rules
	p = &Place{Volume: volume, Name: name, Client: c, Since: time.Now(), Reader: readOnly || ro, fixed: readOnly, table: t, cut: cut}
	if u, ok := rules.user(c.User); ok {
		p.secret = u.Secret
	}
	if other := t.otherWriterLocked(p); other != nil && !rules.Sharing {
		return nil, t.mu.changed, inUse(p, other)
	}
	t.mu.last++
	p.ID = t.mu.last
	t.mu.places[p.ID] = p
	return p, nil, nil
}

// inUse is what the second writer is told.
func inUse(p, other *Place) error {
	return refuse("volume %s is in use for writing by %s (session %d): detach it there, or end it with: weir session drop %d, "+
		"or let several clients write with: weir volume access set %s --sharing on", p.Name, other.Client, other.ID, other.ID, base(p.Name))
}

// otherWriterLocked finds a client other than that of p that writes to its volume, or to its clone of it.
func (t *Table) otherWriterLocked(p *Place) *Place {
	if p.Reader {
		return nil
	}
	for _, id := range t.sortedPlacesLocked() {
		if o := t.mu.places[id]; o.Volume == p.Volume && o.Name == p.Name && !o.Reader && o.Client.identity() != p.Client.identity() {
			return o
		}
	}
	return nil
}

func (t *Table) sortedPlacesLocked() []uint64 {
	ids := make([]uint64, 0, len(t.mu.places))
	for id := range t.mu.places {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Detach gives the place back; to be called when nothing of the client is with the volume any more.
func (p *Place) Detach() {
	t := p.table
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.mu.places, p.ID)
	t.wakeLocked()
}

// wakeLocked lets those who wait look again.
func (t *Table) wakeLocked() {
	close(t.mu.changed)
	t.mu.changed = make(chan struct{})
}

// Places lists who is attached, oldest first.
func (t *Table) Places() []*Place {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*Place
	for _, id := range t.sortedPlacesLocked() {
		out = append(out, t.mu.places[id])
	}
	return out
}

// Drop cuts a client off, and returns when it is gone; false if there is no such place.
func (t *Table) Drop(ctx context.Context, id uint64, why error) (bool, error) {
	t.mu.Lock()
	p, ok := t.mu.places[id]
	if ok {
		p.cut(why)
	}
	t.mu.Unlock()
	if !ok {
		return false, nil
	}
	return true, t.gone(ctx, []uint64{id})
}

// gone returns when none of the places is taken any more.
func (t *Table) gone(ctx context.Context, ids []uint64) error {
	ctx, cancel := context.WithTimeout(ctx, cutTime)
	defer cancel()
	for {
		t.mu.Lock()
		left := slices.DeleteFunc(slices.Clone(ids), func(id uint64) bool { return t.mu.places[id] == nil })
		changed := t.mu.changed
		t.mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d clients that were cut off still have requests with the volume: %w", len(left), ctx.Err())
		}
	}
}

// sortedIDs returns the volumes of records in a fixed order.
func sortedIDs(records map[ident.UUID]record) []ident.UUID {
	ids := make([]ident.UUID, 0, len(records))
	for id := range records {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ident.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
