package scsi_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// prout is PERSISTENT RESERVE OUT with the basic parameter list.
func prout(n *scsi.Nexus, action, kind byte, key, newKey uint64, keep bool) *scsi.Op {
	p := make([]byte, 24)
	binary.BigEndian.PutUint64(p, key)
	binary.BigEndian.PutUint64(p[8:], newKey)
	if keep {
		p[20] = 1
	}
	return do(n, []byte{0: 0x5f, 1: action, 2: kind, 8: 24}, p)
}

// keys reads the registered keys.
func keys(t testing.TB, n *scsi.Nexus) string {
	t.Helper()
	op := do(n, []byte{0: 0x5e, 1: 0, 7: 1}, nil)
	want(t, "read keys", op, 0)
	s := ""
	for b := op.In[8:]; len(b) >= 8; b = b[8:] {
		s += fmt.Sprintf("%x ", binary.BigEndian.Uint64(b))
	}
	return s
}

const (
	register, reserve, release, clearAll, preempt, preemptAbort, registerIgnore, registerMove = 0, 1, 2, 3, 4, 5, 6, 7
)

// Who may read and write under each type of reservation (SPC-4, table 66).
func TestPersistentAccess(t *testing.T) {
	type rights struct{ read, write bool }
	for kind, w := range map[byte]struct{ registered, stranger rights }{
		1: {rights{true, false}, rights{true, false}},
		3: {rights{false, false}, rights{false, false}},
		5: {rights{true, true}, rights{true, false}},
		6: {rights{true, true}, rights{false, false}},
		7: {rights{true, true}, rights{true, false}},
		8: {rights{true, true}, rights{false, false}},
	} {
		u, a, b := unit(t, disk(), scsi.Identity{})
		stranger := u.Attach("iqn.c,i,0x1")
		quiet(stranger)
		want(t, "register a", prout(a, register, 0, 0, 0xa, false), 0)
		want(t, "register b", prout(b, register, 0, 0, 0xb, false), 0)
		want(t, "reserve", prout(a, reserve, kind, 0xa, 0, false), 0)
		for name, c := range map[string]struct {
			n *scsi.Nexus
			w rights
		}{"holder": {a, rights{true, true}}, "registrant": {b, w.registered}, "stranger": {stranger, w.stranger}} {
			read := do(c.n, cdb10(0x28, 0, 1), nil).Status == scsi.Good
			write := do(c.n, cdb10(0x2a, 0, 1), make([]byte, 512)).Status == scsi.Good
			if (rights{read, write}) != c.w {
				t.Errorf("type %d: %s may read %v and write %v, want %v", kind, name, read, write, c.w)
			}
			if op := do(c.n, []byte{0x12, 0, 0, 0, 36}, nil); op.Status != scsi.Good {
				t.Errorf("type %d: INQUIRY of the %s: %#x", kind, name, op.Status)
			}
		}
	}
}

func TestPersistentKeys(t *testing.T) {
	_, a, b := unit(t, disk(), scsi.Identity{})
	conflict(t, "register with a key that is not there", prout(a, register, 0, 1, 2, false))
	want(t, "unregister nothing", prout(a, register, 0, 0, 0, false), 0)
	want(t, "register", prout(a, register, 0, 0, 0xa, false), 0)
	conflict(t, "change with the wrong key", prout(a, register, 0, 0xb, 0xc, false))
	want(t, "change", prout(a, register, 0, 0xa, 0xc, false), 0)
	want(t, "ignore the key", prout(b, registerIgnore, 0, 0x99, 0xb, false), 0)
	if got := keys(t, a); got != "c b " {
		t.Errorf("keys %s", got)
	}
	conflict(t, "reserve with the wrong key", prout(a, reserve, 1, 0xa, 0, false))
	want(t, "scope", prout(a, reserve, 0x21, 0xc, 0, false), scsi.InvalidFieldInCDB)
	want(t, "type", prout(a, reserve, 2, 0xc, 0, false), scsi.InvalidFieldInCDB)
	want(t, "reserve", prout(a, reserve, 1, 0xc, 0, false), 0)
	want(t, "reserve again", prout(a, reserve, 1, 0xc, 0, false), 0)
	conflict(t, "with another type", prout(a, reserve, 3, 0xc, 0, false))
	conflict(t, "by another", prout(b, reserve, 1, 0xb, 0, false))
	want(t, "release by another", prout(b, release, 1, 0xb, 0, false), 0)
	want(t, "release with another type", prout(a, release, 3, 0xc, 0, false), scsi.InvalidRelease)
	want(t, "release", prout(a, release, 1, 0xc, 0, false), 0)
	want(t, "clear", prout(b, clearAll, 0, 0xb, 0, false), 0)
	if got := keys(t, b); got != "" {
		t.Errorf("keys %s after clear", got)
	}
	want(t, "the other hears of it", do(a, testUnitReady, nil), scsi.ReservationsPreempted)
	want(t, "APTPL without a store", prout(a, register, 0, 0, 1, true), scsi.InvalidFieldInParams)
}

func TestPreempt(t *testing.T) {
	_, a, b := unit(t, disk(), scsi.Identity{})
	prout(a, register, 0, 0, 0xa, false)
	prout(b, register, 0, 0, 0xb, false)
	prout(a, reserve, 3, 0xa, 0, false)
	conflict(t, "preempt a key that is not there", prout(b, preempt, 1, 0xb, 0x77, false))
	want(t, "preempt nobody", prout(b, preempt, 1, 0xb, 0, false), scsi.InvalidFieldInParams)
	op := prout(b, preemptAbort, 1, 0xb, 0xa, false)
	want(t, "preempt", op, 0)
	if len(op.Preempted) != 1 || op.Preempted[0] != a {
		t.Errorf("commands of %v are to be ended, want those of a", op.Preempted)
	}
	want(t, "the preempted hears of it", do(a, testUnitReady, nil), scsi.RegistrationsPreempted)
	conflict(t, "and may not write", do(a, cdb10(0x2a, 0, 1), make([]byte, 512)))
	want(t, "but read", do(a, cdb10(0x28, 0, 1), nil), 0)
	if got := keys(t, b); got != "b " {
		t.Errorf("keys %s, want b", got)
	}
}

// When the last registrant that shares a reservation goes, the others hear that it ended.
func TestReleaseIsTold(t *testing.T) {
	for _, kind := range []byte{5, 6} {
		_, a, b := unit(t, disk(), scsi.Identity{})
		prout(a, register, 0, 0, 0xa, false)
		prout(b, register, 0, 0, 0xb, false)
		prout(a, reserve, kind, 0xa, 0, false)
		want(t, "unregister the holder", prout(a, register, 0, 0xa, 0, false), 0)
		want(t, "the other hears", do(b, testUnitReady, nil), scsi.ReservationsReleased)
	}
}

func TestRegisterAndMove(t *testing.T) {
	_, a, b := unit(t, disk(), scsi.Identity{})
	prout(a, register, 0, 0, 0xa, false)
	prout(a, reserve, 3, 0xa, 0, false)
	name := append([]byte(b.Port()), make([]byte, 20-len(b.Port())%4)...)
	name = name[:len(name)/4*4]
	id := append([]byte{0x45, 0, 0, byte(len(name))}, name...)
	p := make([]byte, 24, 64)
	binary.BigEndian.PutUint64(p, 0xa)
	binary.BigEndian.PutUint64(p[8:], 0xb)
	p[17] = 0x02 // UNREG
	binary.BigEndian.PutUint32(p[20:], uint32(len(id)))
	p = append(p, id...)
	want(t, "move", do(a, []byte{0: 0x5f, 1: registerMove, 8: byte(len(p))}, p), 0)
	want(t, "the new holder writes", do(b, cdb10(0x2a, 0, 1), make([]byte, 512)), 0)
	conflict(t, "the old one does not", do(a, cdb10(0x28, 0, 1), nil))
	if got := keys(t, b); got != "b " {
		t.Errorf("keys %s, want b", got)
	}

	full := do(b, []byte{0: 0x5e, 1: 3, 7: 1}, nil)
	if len(full.In) < 32+24 || full.In[8+12]&1 == 0 || full.In[8+13] != 3 {
		t.Errorf("full status %x", full.In)
	}
}

// keeper keeps records, until it fails.
type keeper struct {
	record []byte
	err    error
}

func (k *keeper) Load([16]byte) ([]byte, error) { return k.record, nil }

func (k *keeper) Save(_ [16]byte, r []byte) error {
	if k.err == nil {
		k.record = r
	}
	return k.err
}

// With APTPL a reservation is there after a restart; without, it is not (SPC-4, section 5.13.5).
func TestReservationsSurvive(t *testing.T) {
	k := new(keeper)
	_, a, b := unit(t, disk(), scsi.Identity{Persistent: k})
	prout(b, register, 0, 0, 0xb, true)
	want(t, "register", prout(a, register, 0, 0, 0xa, true), 0)
	want(t, "reserve", prout(a, reserve, 1, 0xa, 0, false), 0)

	_, a, b = unit(t, disk(), scsi.Identity{Persistent: k})
	conflict(t, "write after a restart", do(b, cdb10(0x2a, 0, 1), make([]byte, 512)))
	want(t, "write of the holder", do(a, cdb10(0x2a, 0, 1), make([]byte, 512)), 0)
	k.err = errors.New("disk full")
	want(t, "what can not be kept is not done", prout(a, release, 1, 0xa, 0, false), scsi.InternalTargetFailure)
	conflict(t, "so it still holds", do(b, cdb10(0x2a, 0, 1), make([]byte, 512)))
	k.err = nil
	want(t, "register without APTPL", prout(a, registerIgnore, 0, 0, 0xa, false), 0)
	if k.record != nil {
		t.Errorf("%s is kept without APTPL", k.record)
	}
	if _, err := scsi.NewUnit(disk(), scsi.Identity{Persistent: &keeper{record: []byte(`{"type":1,"holder":"x"}`)}}); err == nil {
		t.Error("a record whose holder is not registered was taken")
	}
	if _, err := scsi.NewUnit(disk(), scsi.Identity{Persistent: &keeper{record: []byte("{")}}); err == nil {
		t.Error("a damaged record was taken")
	}
}

func TestReserve6(t *testing.T) {
	u, a, b := unit(t, disk(), scsi.Identity{})
	want(t, "reserve", do(a, []byte{0x16}, nil), 0)
	conflict(t, "reserve by another", do(b, []byte{0x16}, nil))
	conflict(t, "read by another", do(b, cdb10(0x28, 0, 1), nil))
	want(t, "inquiry by another", do(b, []byte{0x12, 0, 0, 0, 36}, nil), 0)
	want(t, "release by another", do(b, []byte{0x17}, nil), 0)
	conflict(t, "which releases nothing", do(b, testUnitReady, nil))
	conflict(t, "register beside it", prout(a, register, 0, 0, 1, false))
	a.Detach()
	want(t, "read after the holder has gone", do(b, cdb10(0x28, 0, 1), nil), 0)
	want(t, "register", prout(b, register, 0, 0, 1, false), 0)
	c := u.Attach("iqn.c,i,0x1")
	quiet(c)
	conflict(t, "reserve beside registrations", do(c, []byte{0x16}, nil))
}

// FuzzReservations: a record of reservations from the disk is taken or refused, and what was taken can be asked for.
func FuzzReservations(f *testing.F) {
	k := new(keeper)
	_, a, b := unit(f, disk(), scsi.Identity{Persistent: k})
	prout(b, register, 0, 0, 0xb, true)
	prout(a, register, 0, 0, 0xa, true)
	prout(a, reserve, 1, 0xa, 0, false)
	f.Add(k.record)
	f.Add([]byte(`{"type":1,"holder":"x"}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, record []byte) {
		u, err := scsi.NewUnit(disk(), scsi.Identity{Persistent: &keeper{record: record}})
		if err != nil {
			return
		}
		n := u.Attach("iqn.a,i,0x1")
		quiet(n)
		for action := range byte(4) {
			if op := do(n, []byte{0: 0x5e, 1: action, 7: 0x40, 8: 0}, nil); op.Status != scsi.Good {
				t.Errorf("action %d of PERSISTENT RESERVE IN: status %d, sense %06x", action, op.Status, uint32(op.Sense.Code))
			}
		}
	})
}
