package iscsi_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
	"github.com/weirstor/weir/target/memory"
)

// A silent initiator is asked for a sign of life and dropped when it gives none; one that answers stays.
func TestSilence(t *testing.T) {
	addr, srv := serve(t, new(shelf).with("v", memory.New(mib, 512)),
		iscsi.Options{PingAfter: time.Second, DropAfter: 3 * time.Second})
	alive := dial(t, addr, "v", initiator.Options{}) // answers pings by itself
	dead := dialRaw(t, addr)
	dead.login("v")
	h, _ := dead.receive()
	if h.Opcode() != wire.NopIn || h.ITT() != wire.NoTag || h.Word(wire.OffTTT) == wire.NoTag {
		t.Fatalf("opcode %#x, want a ping", h.Opcode())
	}
	dead.ends()
	if err := alive.ReadAt(make([]byte, 512), 0); err != nil {
		t.Errorf("the initiator that answers was dropped: %v", err)
	}
	sessionsBecome(t, srv, 1)
}

// sessionsBecome waits until the server knows n sessions: it lets go of one after the client has seen its connection
// end.
func sessionsBecome(t *testing.T, srv *iscsi.Server, n int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(srv.Sessions()) != n {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions, want %d", len(srv.Sessions()), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// A connection that does not log in ends by itself.
func TestLoginTimeout(t *testing.T) {
	addr, _ := serve(t, new(shelf), iscsi.Options{LoginTimeout: 100 * time.Millisecond})
	dialRaw(t, addr).ends()
}

// Drop ends the sessions of one target only, and waits for what is with the device.
func TestDrop(t *testing.T) {
	dev := newHooked(mib)
	addr, srv := serve(t, new(shelf).with("v", dev).with("w", memory.New(mib, 512)), iscsi.Options{})
	v, w := dial(t, addr, "v", initiator.Options{}), dial(t, addr, "w", initiator.Options{})
	g := newGate()
	dev.set(hooks{write: func([]byte, int64) error { g.pass(); return nil }})
	go func() { _ = v.WriteAt(make([]byte, 512), 0, false) }()
	<-g.came
	dropped := make(chan struct{})
	go func() { srv.Drop(iscsi.IQN("v")); close(dropped) }()
	select {
	case <-dropped:
		t.Error("Drop returned while a write was with the device")
	case <-time.After(20 * time.Millisecond):
	}
	g.release()
	<-dropped
	if err := v.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("the dropped session goes on")
	}
	if err := w.ReadAt(make([]byte, 512), 0); err != nil {
		t.Errorf("the other target: %v", err)
	}
}

// A reservation outlives its session; the state of a unit that nobody needs does not pile up.
func TestReservationOutlivesSession(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	s := dial(t, addr, "v", initiator.Options{})
	prout := func(s *initiator.Session, action, kind byte, key, newKey uint64) error {
		p := make([]byte, 24)
		binary.BigEndian.PutUint64(p, key)
		binary.BigEndian.PutUint64(p[8:], newKey)
		r, err := s.Command([]byte{0: 0x5f, 1: action, 2: kind, 8: 24}, p, nil)
		return errors.Join(err, r.Err())
	}
	if err := errors.Join(prout(s, 0, 0, 0, 0xa), prout(s, 1, 3, 0xa, 0), s.Logout()); err != nil {
		t.Fatal(err)
	}
	other := dial(t, addr, "v", initiator.Options{Name: "iqn.2026-11.io.weir.test:other"})
	var e *initiator.StatusError
	if err := other.ReadAt(make([]byte, 512), 0); !errors.As(err, &e) || e.Status != scsi.ReservationConflict {
		t.Errorf("%v, want a reservation conflict", err)
	}
	again := dial(t, addr, "v", initiator.Options{})
	if err := again.ReadAt(make([]byte, 512), 0); err != nil {
		t.Errorf("the holder, logged in again: %v", err)
	}
}

func TestReadOnlyInitiator(t *testing.T) {
	reader := "iqn.2026-11.io.weir.test:reader"
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512), func(i *iscsi.TargetInfo) {
		i.Access.ReadOnly = []string{reader}
	}), iscsi.Options{})
	r, w := dial(t, addr, "v", initiator.Options{Name: reader}), dial(t, addr, "v", initiator.Options{})
	checkSense(t, "write of the reader", r.WriteAt(make([]byte, 512), 0, false), scsi.WriteProtected, false, 0)
	if err := errors.Join(w.WriteAt(make([]byte, 512), 0, false), r.ReadAt(make([]byte, 512), 0), r.Sync()); err != nil {
		t.Error(err)
	}
}

// More sessions than there may be are refused, and there is room again when one has gone.
func TestSessionLimit(t *testing.T) {
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512)), iscsi.Options{SessionsMax: 2})
	a := dial(t, addr, "v", initiator.Options{ISID: [6]byte{1}})
	dial(t, addr, "v", initiator.Options{ISID: [6]byte{2}})
	var refused *initiator.LoginError
	if _, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), initiator.Options{ISID: [6]byte{3}}); !errors.As(err, &refused) ||
		refused.Status != 0x0302 {
		t.Errorf("third session: %v, want status 0x0302", err)
	}
	if err := a.Logout(); err != nil {
		t.Fatal(err)
	}
	for range 100 { // the handle is free when the connection has ended, a moment after the answer
		s, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), initiator.Options{ISID: [6]byte{3}})
		if err == nil {
			_ = s.Logout()
			return
		}
	}
	t.Error("no room after a logout")
}
