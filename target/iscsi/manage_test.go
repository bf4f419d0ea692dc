package iscsi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// manageHeader is a task management request for immediate delivery.
func manageHeader(function byte, ref uint32) *wire.Header {
	var h wire.Header
	h.SetOpcode(wire.TaskRequest)
	h.SetImmediate()
	h.SetFlags(wire.Final | function)
	h.SetITT(77)
	h.SetWord(wire.OffRefTask, ref)
	return &h
}

// After the answer to a task management function, no command that it ended changes the device any more, and none of
// them is answered (gotgt: LUN RESET answers complete and the write lands later).
func TestManagementStopsCommands(t *testing.T) {
	for _, tc := range []struct {
		name     string
		function byte
	}{
		{"abort task", initiator.AbortTask}, {"abort task set", initiator.AbortTaskSet},
		{"clear task set", initiator.ClearTaskSet}, {"lun reset", initiator.LUNReset},
		{"target warm reset", initiator.TargetWarmReset},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dev := newHooked(mib)
			g := newGate()
			var late, stored atomic.Int32
			var answered atomic.Bool
			dev.set(hooks{write: func([]byte, int64) error {
				g.pass()
				if answered.Load() {
					late.Add(1)
				}
				stored.Add(1)
				return nil
			}})
			addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{})
			r := dialRaw(t, addr)
			r.login("v", "InitialR2T", "No")
			data := bytes.Repeat([]byte{1}, 512)
			h := r.command(write10(0, 1), wire.CommandWrite, 512, data)
			<-g.came
			waiting := r.commandHeader(write10(8, 1), wire.CommandWrite|wire.Final, 512) // its data never comes
			r.send(waiting, nil)
			if got, _ := r.receive(); got.Opcode() != wire.R2T || got.ITT() != waiting.ITT() {
				t.Fatalf("opcode %#x for %d, want an R2T for %d", got.Opcode(), got.ITT(), waiting.ITT())
			}

			r.send(manageHeader(tc.function, h.ITT()), nil)
			ping := pingHeader(r.cmdSN)
			r.cmdSN++
			r.send(ping, nil)
			if got, _ := r.receive(); got.Opcode() != wire.NopIn {
				t.Fatalf("opcode %#x while the write is with the device, want the ping's answer only", got.Opcode())
			}
			g.release()
			got, _ := r.receive()
			answered.Store(true)
			if got.Opcode() != wire.TaskResponse || got[2] != 0 {
				t.Fatalf("opcode %#x, response %d; want a complete task management response", got.Opcode(), got[2])
			}
			if tc.function == initiator.AbortTask {
				return // the waiting command goes on waiting
			}
			var out wire.Header // data for a command that is no more
			out.SetOpcode(wire.DataOut)
			out.SetFlags(wire.Final)
			out.SetITT(waiting.ITT())
			r.send(&out, data)
			r.send(pingHeader(r.cmdSN), nil)
			if got, _ := r.receive(); got.Opcode() != wire.NopIn {
				t.Errorf("opcode %#x after late data, want the ping's answer", got.Opcode())
			}
			if late.Load() != 0 || stored.Load() != 1 {
				t.Errorf("%d writes, %d of them after the answer", stored.Load(), late.Load())
			}
		})
	}
}

// CLEAR TASK SET by one session stops the commands of another, which learns of it; a third that had none does not.
func TestClearTaskSetOfOthers(t *testing.T) {
	dev := newHooked(mib)
	g := newGate()
	dev.set(hooks{write: func([]byte, int64) error { g.pass(); return nil }})
	addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{})
	busy := dialRaw(t, addr)
	busy.login("v")
	by := dial(t, addr, "v", initiator.Options{})
	idle := dial(t, addr, "v", initiator.Options{Name: "iqn.2026-11.io.weir.test:idle"})
	busy.command(write10(0, 1), wire.CommandWrite, 512, make([]byte, 512))
	<-g.came
	cleared := make(chan error, 1)
	go func() {
		response, err := by.Manage(initiator.ClearTaskSet, 0)
		if err == nil && response != 0 {
			err = fmt.Errorf("response %d", response)
		}
		cleared <- err
	}()
	select {
	case err := <-cleared:
		t.Fatalf("CLEAR TASK SET was answered (%v) while a write was with the device", err)
	case <-time.After(20 * time.Millisecond):
	}
	g.release()
	if err := <-cleared; err != nil {
		t.Fatal(err)
	}
	busy.command(read10(0, 1), wire.CommandRead, 512, nil)
	h, data := busy.receive()
	if h.Opcode() != wire.SCSIResponse || h[3] != 2 || len(data) < 16 || data[4]&0xf != 6 || data[14] != 0x2f {
		t.Errorf("opcode %#x, status %#x, %x; want the attention, and no answer to the write", h.Opcode(), h[3], data)
	}
	for _, s := range []*initiator.Session{by, idle} {
		if err := s.ReadAt(make([]byte, 512), 0); err != nil {
			t.Errorf("a session that lost no command: %v", err)
		}
	}
}

// TARGET COLD RESET stops the commands and ends all sessions to the target; reservations and the unit go on.
func TestColdReset(t *testing.T) {
	addr, srv := serve(t, new(shelf).with("v", newHooked(mib)).with("w", newHooked(mib)), iscsi.Options{})
	other, elsewhere := dial(t, addr, "v", initiator.Options{}), dial(t, addr, "w", initiator.Options{})
	r := dialRaw(t, addr)
	r.login("v")
	r.send(manageHeader(initiator.TargetColdReset, 0), nil)
	if h, _ := r.receive(); h.Opcode() != wire.TaskResponse || h[2] != 0 {
		t.Errorf("opcode %#x, response %d; want a complete task management response", h.Opcode(), h[2])
	}
	r.ends()
	if err := other.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("the other session goes on")
	}
	if err := elsewhere.ReadAt(make([]byte, 512), 0); err != nil {
		t.Errorf("a session to another target: %v", err)
	}
	sessionsBecome(t, srv, 1)
	again := dial(t, addr, "v", initiator.Options{})
	if err := again.ReadAt(make([]byte, 512), 0); err != nil {
		t.Errorf("after the reset: %v", err)
	}
}

func pingHeader(cmdSN uint32) *wire.Header {
	var h wire.Header
	h.SetOpcode(wire.NopOut)
	h.SetFlags(wire.Final)
	h.SetITT(900)
	h.SetWord(wire.OffTTT, wire.NoTag)
	h.SetWord(wire.OffCmdSN, cmdSN)
	return &h
}

// An abort of a command that is answered already says so.
func TestAbortUnknown(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	s := dial(t, addr, "v", initiator.Options{})
	if got, err := s.Manage(initiator.AbortTask, 4711); err != nil || got != 1 {
		t.Errorf("response %d, %v; want 1 (task does not exist)", got, err)
	}
	if got, err := s.Manage(8, 0); err != nil || got != 4 {
		t.Errorf("task reassign: response %d, %v; want 4", got, err)
	}
	if got, err := s.Manage(3, 0); err != nil || got != 5 {
		t.Errorf("clear ACA: response %d, %v; want 5", got, err)
	}
}

// A reset by one initiator is told to the others as a unit attention, once.
func TestResetAttention(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	a := dial(t, addr, "v", initiator.Options{})
	b := dial(t, addr, "v", initiator.Options{Name: "iqn.2026-11.io.weir.test:b"})
	if got, err := a.Manage(initiator.LUNReset, 0); err != nil || got != 0 {
		t.Fatalf("reset: response %d, %v", got, err)
	}
	for _, s := range []*initiator.Session{a, b} {
		checkSense(t, "read after the reset", s.ReadAt(make([]byte, 512), 0), scsi.DeviceReset, false, 0)
		if err := s.ReadAt(make([]byte, 512), 0); err != nil {
			t.Error(err)
		}
	}
}

// A login of the same initiator port ends the session before, and the new session begins only when the commands of the
// old one have left the device (RFC 7143, section 6.3.5).
func TestReinstatement(t *testing.T) {
	dev := newHooked(mib)
	g := newGate()
	addr, srv := serve(t, new(shelf).with("v", dev), iscsi.Options{})
	old := dial(t, addr, "v", initiator.Options{})
	dev.set(hooks{write: func([]byte, int64) error { g.pass(); return nil }})
	lost := make(chan error, 1)
	go func() { lost <- old.WriteAt(bytes.Repeat([]byte{1}, 512), 0, false) }()
	<-g.came
	type dialed struct {
		s   *initiator.Session
		err error
	}
	again := make(chan dialed, 1)
	go func() {
		s, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), initiator.Options{})
		again <- dialed{s, err}
	}()
	if err := <-lost; err == nil {
		t.Error("a write was acknowledged by a session that was replaced")
	}
	select {
	case <-again:
		t.Error("the new session began while a write of the old one was with the device")
	default:
	}
	g.release()
	d := <-again
	if d.err != nil {
		t.Fatal(d.err)
	}
	defer d.s.Logout()
	if err := d.s.WriteAt(bytes.Repeat([]byte{2}, 512), 0, false); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 512)
	if err := d.s.ReadAt(p, 0); err != nil || p[0] != 2 {
		t.Errorf("block holds %d, %v; want the new session's write", p[0], err)
	}
	sessionsBecome(t, srv, 1)
}

// Close answers what is with the device, asks initiators to log out and ends all sessions.
func TestClose(t *testing.T) {
	dev := newHooked(mib)
	g := newGate()
	addr, srv := serve(t, new(shelf).with("v", dev), iscsi.Options{LogoutGrace: 50 * time.Millisecond})
	r := dialRaw(t, addr)
	r.login("v")
	dev.set(hooks{write: func([]byte, int64) error { g.pass(); return nil }})
	r.command(write10(0, 1), wire.CommandWrite, 512, make([]byte, 512))
	<-g.came
	closed := make(chan error, 1)
	go func() { closed <- srv.Close() }()
	h, _ := r.receive()
	if h.Opcode() != wire.AsyncMessage || h[36] != 1 {
		t.Fatalf("opcode %#x, event %d; want a request to log out", h.Opcode(), h[36])
	}
	g.release()
	if h, _ = r.receive(); h.Opcode() != wire.SCSIResponse || h[3] != 0 {
		t.Fatalf("opcode %#x, status %#x; want the write's answer", h.Opcode(), h[3])
	}
	r.ends()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), initiator.Options{}); err == nil {
		t.Error("login after Close")
	}
}

// A well-behaved initiator follows the request to log out, so that Close does not wait for the whole grace.
func TestCloseLogsOut(t *testing.T) {
	targets := new(shelf).with("w", newHooked(mib))
	addr, srv := serve(t, targets, iscsi.Options{LogoutGrace: time.Hour})
	s := dial(t, addr, "w", initiator.Options{})
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("read after Close")
	}
}

// Commands wait in order for the memory of their connection; a burst of large ones neither fails nor takes more.
func TestFlowControl(t *testing.T) {
	dev := newHooked(64 * mib)
	addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{Memory: 1})
	s := dial(t, addr, "v", initiator.Options{InitialR2T: true, NoImmediateData: true})
	var busy, most atomic.Int64
	count := func(p []byte, _ int64) error {
		for now := busy.Add(int64(len(p))); ; {
			if m := most.Load(); now <= m || most.CompareAndSwap(m, now) {
				break
			}
		}
		defer busy.Add(-int64(len(p)))
		time.Sleep(time.Millisecond) // gives others the chance to come in
		return nil
	}
	dev.set(hooks{read: count, write: count})
	errs := make(chan error, 64)
	for i := range cap(errs) {
		go func() {
			p := bytes.Repeat([]byte{byte(i + 1)}, mib)
			err := s.WriteAt(p, int64(i)*mib, false)
			got := make([]byte, mib)
			err = errors.Join(err, s.ReadAt(got, int64(i)*mib))
			if err == nil && !bytes.Equal(got, p) {
				err = errors.New("read back something else")
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if m := most.Load(); m > 16*mib {
		t.Errorf("%d bytes with the device at a time, want at most %d", m, 16*mib)
	}
}
