package iscsi_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
)

// A window full of writes, each with the first part of its data unsolicited and the rest still to be asked for, goes
// on: what came unsolicited takes nothing from what is asked for.
func TestUnsolicitedDataLeavesRoom(t *testing.T) {
	addr, _ := serve(t, new(shelf).with("v", memory.New(64*mib, 512)), iscsi.Options{Memory: 1})
	s := dial(t, addr, "v", initiator.Options{})
	errs := make(chan error, 256)
	for i := range cap(errs) {
		go func() {
			off := int64(i%64) * mib
			p := bytes.Repeat([]byte{byte(i)}, mib)
			errs <- errors.Join(s.WriteAt(p, off, false))
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// meter counts bytes that are with a device at a time.
type meter struct{ busy, most atomic.Int64 }

func (m *meter) count(p []byte, _ int64) error {
	now := m.busy.Add(int64(len(p)))
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	runtime.Gosched() // others may come in
	m.busy.Add(-int64(len(p)))
	return nil
}

// All sessions together keep to what there is for all, without an error: each waits for its own commands only.
func TestMemoryOfAllSessions(t *testing.T) {
	const sessions = 4
	dev := newHooked(64 * mib)
	addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{SessionsMax: sessions, MemoryTotal: 1, QueueDepth: 32})
	var all []*initiator.Session
	for i := range sessions {
		all = append(all, dial(t, addr, "v", initiator.Options{ISID: [6]byte{byte(i + 1)}, InitialR2T: true, NoImmediateData: true}))
	}
	var m meter
	dev.set(hooks{read: m.count, write: m.count})
	errs := make(chan error, sessions*32)
	for i := range cap(errs) {
		go func() {
			p := make([]byte, 4*mib)
			s, off := all[i%sessions], int64(i%16)*4*mib
			errs <- errors.Join(s.WriteAt(p, off, false), s.ReadAt(p, off))
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if most := m.most.Load(); most > sessions*8*mib || most == 0 {
		t.Errorf("%d bytes with the device at a time, want at most %d", most, sessions*8*mib)
	}
}

// A session that has done its work and waits holds less than 1 MiB.
func TestIdleSessionIsSmall(t *testing.T) {
	const sessions = 50
	addr, srv := serve(t, new(shelf).with("v", memory.New(4*mib, 512)), iscsi.Options{})
	before := inUse()
	for i := range sessions {
		s := dial(t, addr, "v", initiator.Options{Name: fmt.Sprintf("iqn.2026-11.io.weir.test:%d", i)})
		p := make([]byte, mib)
		if err := errors.Join(s.WriteAt(p, 0, false), s.ReadAt(p, mib)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(srv.Sessions()); n != sessions {
		t.Fatalf("%d sessions, want %d", n, sessions)
	}
	each := int64(0)
	for range 500 { // pools let go after some collections; the initiators in this process count too
		if each = (inUse() - before) / sessions; each < mib {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("an idle session holds %d KiB, want less than 1024", each>>10)
}

// inUse returns the memory of this process in use after a garbage collection.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
