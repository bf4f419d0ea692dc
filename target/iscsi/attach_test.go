package iscsi_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
)

// place is an Options.Attach that lets one initiator in at a time.
type place struct {
	mu       sync.Mutex
	readOnly bool
	taken    int
	last     iscsi.Attempt
	detached chan struct{}
}

func (p *place) attach(a iscsi.Attempt) (iscsi.Attachment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken > 0 {
		return nil, errors.New("in use")
	}
	p.taken++
	p.last = a
	return p, nil
}

func (p *place) ReadOnly() bool { return p.readOnly }

func (p *place) Detach() {
	p.mu.Lock()
	p.taken--
	p.mu.Unlock()
	p.detached <- struct{}{}
}

func (p *place) gone(t *testing.T) {
	t.Helper()
	select {
	case <-p.detached:
	case <-time.After(time.Minute):
		t.Fatal("the place was not given back")
	}
}

// A session takes its place once it has proved who it is, and gives it back when it ends; one that comes again takes
// its own place over.
func TestAttach(t *testing.T) {
	p := &place{detached: make(chan struct{}, 10)}
	users := func(i *iscsi.TargetInfo) {
		i.Access.Users = []iscsi.Credential{{Name: "alice", Secret: "secret of twelve"}}
	}
	addr, srv := serve(t, new(shelf).with("v", memory.New(mib, 512), users), iscsi.Options{Attach: p.attach})
	opt := initiator.Options{Name: "iqn.2026-11.io.weir.test:one", User: "alice", Secret: "secret of twelve"}
	s, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), opt)
	if err != nil {
		t.Fatal(err)
	}
	if p.last.User != "alice" || p.last.Initiator != opt.Name || p.last.Target.Alias != "v" {
		t.Errorf("attempt %+v", p.last)
	}
	other := opt
	other.Name = "iqn.2026-11.io.weir.test:two"
	if _, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), other); err == nil {
		t.Error("a second initiator was let in")
	}
	again, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), opt) // session reinstatement
	if err != nil {
		t.Fatal(err)
	}
	p.gone(t)
	_ = s.Logout()
	d := again
	if err := d.WriteAt(make([]byte, 4096), 0, false); err != nil {
		t.Fatal(err)
	}
	if err := d.ReadAt(make([]byte, 1024), 0); err != nil {
		t.Fatal(err)
	}
	list := srv.Sessions()
	if len(list) != 1 || list[0].User != "alice" || list[0].BytesWritten != 4096 || list[0].BytesRead < 1024 ||
		list[0].Commands < 2 || list[0].Since.IsZero() || list[0].ReadOnly || list[0].Attachment != iscsi.Attachment(p) {
		t.Errorf("sessions %+v", list)
	}
	p.last.Cut()
	p.gone(t)
	if err := d.ReadAt(make([]byte, 1024), 0); err == nil {
		t.Error("a session that was cut off is answered")
	}
}

// A place may be read-only.
func TestAttachReadOnly(t *testing.T) {
	p := &place{detached: make(chan struct{}, 10), readOnly: true}
	addr, srv := serve(t, new(shelf).with("v", memory.New(mib, 512)), iscsi.Options{Attach: p.attach})
	d := dial(t, addr, "v", initiator.Options{})
	if err := d.WriteAt(make([]byte, 512), 0, false); err == nil {
		t.Error("a write was carried out")
	}
	if list := srv.Sessions(); len(list) != 1 || !list[0].ReadOnly {
		t.Errorf("sessions %+v", list)
	}
}

// Hosts keeps initiators of other addresses out, of discovery too.
func TestHosts(t *testing.T) {
	from := func(prefix string) func(*iscsi.TargetInfo) {
		return func(i *iscsi.TargetInfo) { i.Access.Hosts = []netip.Prefix{netip.MustParsePrefix(prefix)} }
	}
	addr, _ := serve(t, new(shelf).with("here", memory.New(mib, 512), from("127.0.0.0/8")).
		with("there", memory.New(mib, 512), from("192.0.2.0/24")), iscsi.Options{})
	dial(t, addr, "here", initiator.Options{})
	if _, err := initiator.Dial(context.Background(), addr, iscsi.IQN("there"), initiator.Options{}); err == nil {
		t.Error("an initiator of another address was let in")
	}
	list, err := initiator.Discover(context.Background(), addr, initiator.Options{})
	if err != nil || len(list) != 1 || list[0].IQN != iscsi.IQN("here") {
		t.Errorf("discovery tells %+v, %v", list, err)
	}
}
