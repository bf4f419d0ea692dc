package iscsi_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/scsi"
)

// Backend errors become the right sense, with the LBA, and the session goes on.
func TestBackendErrors(t *testing.T) {
	damage := &target.MediumError{Off: 8 * 512, Len: 512, Err: errors.New("checksum")}
	cases := []struct {
		name    string
		err     error
		read    scsi.Code
		write   scsi.Code
		hasInfo bool
		info    uint32
	}{
		{"damage", damage, scsi.UnrecoveredReadError, scsi.WriteError, true, 8},
		{"wrapped damage", fmt.Errorf("base: %w", damage), scsi.UnrecoveredReadError, scsi.WriteError, true, 8},
		{"input/output", target.ErrIO, scsi.UnrecoveredReadError, scsi.WriteError, true, 4},
		{"unknown", errors.New("boom"), scsi.UnrecoveredReadError, scsi.WriteError, true, 4},
		{"read-only", target.ErrReadOnly, scsi.WriteProtected, scsi.WriteProtected, false, 0},
		{"no space", fmt.Errorf("log: %w", target.ErrNoSpace), scsi.SpaceAllocationFailed, scsi.SpaceAllocationFailed, false, 0},
		{"fenced", target.ErrFenced, scsi.SoftwareWriteProtected, scsi.SoftwareWriteProtected, false, 0},
		{"closed", target.ErrClosed, scsi.NotReadyManual, scsi.NotReadyManual, false, 0},
		{"out of range", target.ErrOutOfRange, scsi.LBAOutOfRange, scsi.LBAOutOfRange, false, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dev := newHooked(mib)
			addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{})
			s := dial(t, addr, "v", initiator.Options{})
			fail := func([]byte, int64) error { return tc.err }
			dev.set(hooks{fail, fail, func() error { return tc.err }, func(int64, int64) error { return tc.err }})
			p := make([]byte, 16*512)

			checkSense(t, "read", s.ReadAt(p, 4*512), tc.read, tc.hasInfo, tc.info)
			checkSense(t, "write", s.WriteAt(p, 4*512, false), tc.write, tc.hasInfo, tc.info)
			checkSense(t, "sync", s.Sync(), tc.write, false, 0)
			same := []byte{0: 0x93, 9: 4, 13: 16, 15: 0}
			r, err := s.Command(same, make([]byte, 512), nil)
			checkSense(t, "write same", errors.Join(err, r.Err()), tc.write, tc.hasInfo, tc.info)

			dev.set(hooks{})
			if err := errors.Join(s.WriteAt(p, 0, true), s.ReadAt(p, 0), s.Sync()); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
		})
	}
}

func checkSense(t *testing.T, what string, err error, want scsi.Code, hasInfo bool, info uint32) {
	t.Helper()
	var e *initiator.StatusError
	if !errors.As(err, &e) {
		t.Errorf("%s: %v, want a SCSI status", what, err)
		return
	}
	if e.Status != scsi.CheckCondition || e.Code() != want {
		t.Errorf("%s: %v, want sense %06x", what, e, uint32(want))
		return
	}
	if !hasInfo {
		return
	}
	got := uint32(e.Sense[3])<<24 | uint32(e.Sense[4])<<16 | uint32(e.Sense[5])<<8 | uint32(e.Sense[6])
	if e.Sense[0]&0x80 == 0 || got != info {
		t.Errorf("%s: INFORMATION %d (valid %v), want LBA %d", what, got, e.Sense[0]&0x80 != 0, info)
	}
}

// Many slow commands of one session are with the device at the same time (gotgt: one at a time).
func TestConcurrency(t *testing.T) {
	const n = 64
	for _, what := range []string{"read", "write"} {
		t.Run(what, func(t *testing.T) {
			dev := newHooked(mib)
			g := newGate()
			hook := func([]byte, int64) error { g.pass(); return nil }
			addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{})
			s := dial(t, addr, "v", initiator.Options{})
			op := s.ReadAt
			if what == "write" {
				op = func(p []byte, off int64) error { return s.WriteAt(p, off, true) }
			}
			dev.set(hooks{read: hook})
			if what == "write" { // one batch is one call, so each write is sent when the one before is with the device
				dev.set(hooks{write: hook})
			}
			errs := make(chan error, n)
			for i := range n {
				go func() { errs <- op(make([]byte, 512), int64(i)*512) }()
				if what == "write" {
					<-g.came
				}
			}
			for range n {
				if what == "read" {
					<-g.came // all of them come before the first may go
				}
			}
			if _, err := s.Ping([]byte("are you there")); err != nil {
				t.Errorf("ping beside blocked commands: %v", err)
			}
			g.release()
			for range n {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A NOP-Out that is not immediate takes a command number and holds nothing up (gotgt: the session stalls).
func TestPing(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	s := dial(t, addr, "v", initiator.Options{})
	for i := range 300 {
		data := bytes.Repeat([]byte{byte(i)}, i*37)
		got, err := s.Ping(data)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("ping of %d bytes: %d bytes, %v", len(data), len(got), err)
		}
		if err := s.ReadAt(make([]byte, 512), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// WRITE SAME writes (gotgt: answers GOOD and writes nothing), with and without a pattern of zeroes.
func TestWriteSame(t *testing.T) {
	addr, dev := newDisk(t, mib, 512)
	s := dial(t, addr, "v", initiator.Options{})
	all := bytes.Repeat([]byte{0xee}, mib)
	for _, unmap := range []byte{0, 0x08} {
		for _, fill := range []byte{0, 0x5a} {
			if err := dev.WriteAt(all, 0, false); err != nil {
				t.Fatal(err)
			}
			r, err := s.Command([]byte{0: 0x93, 1: unmap, 9: 3, 12: 3, 13: 0xe8, 15: 0}, bytes.Repeat([]byte{fill}, 512), nil)
			if err := errors.Join(err, r.Err()); err != nil {
				t.Fatal(err)
			}
			want := bytes.Clone(all)
			for i := 3 * 512; i < 1003*512; i++ {
				want[i] = fill
			}
			got := make([]byte, mib)
			if err := dev.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("fill %#x unmap %#x: the device holds something else (%v)", fill, unmap, err)
			}
		}
	}
}
