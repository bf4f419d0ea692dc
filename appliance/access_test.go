package appliance

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/nbd/client"
)

const (
	hostOne = "iqn.2026-11.io.weir.test:one"
	hostTwo = "iqn.2026-11.io.weir.test:two"
)

// doorSystem is a running system with one volume.
func doorSystem(t *testing.T) *System {
	t.Helper()
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	t.Cleanup(func() { stop(t, s) })
	return s
}

func login(t *testing.T, s *System, opt initiator.Options) (*initiator.Session, error) {
	t.Helper()
	i, err := initiator.Dial(t.Context(), s.Addresses().ISCSI, iscsi.IQN("v"), opt)
	if err == nil {
		t.Cleanup(func() { _ = i.Logout() })
	}
	return i, err
}

func rule(t *testing.T, s *System, a api.Access) {
	t.Helper()
	if _, err := s.SetAccess(t.Context(), "v", a); err != nil {
		t.Fatal(err)
	}
}

// A writer at one door keeps writers at the other out; what the second is told names the first; an operator ends it.
func TestSecondWriter(t *testing.T) {
	s := doorSystem(t)
	n := dial(t, s, "v")
	defer func() { _ = n.Close() }()
	again := dial(t, s, "v") // another connection of the same client
	defer func() { _ = again.Close() }()
	if _, err := login(t, s, initiator.Options{Name: hostOne}); err == nil {
		t.Fatal("an iSCSI writer was let in beside an NBD writer")
	}
	refused := false
	for _, e := range s.journal.Since(0) {
		refused = refused || e.Kind == "access.refused" && strings.Contains(e.Text, "weir session drop 1")
	}
	if !refused {
		t.Error("no event tells of the refusal and of what to do")
	}
	list := s.Sessions()
	if len(list) != 2 || list[0].ID != "1" || list[0].Door != "nbd" || list[0].Volume != "v" || list[0].Since.IsZero() || list[0].ReadOnly {
		t.Fatalf("sessions %+v", list)
	}
	for _, x := range list {
		if err := s.DropSession(t.Context(), x.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropSession(t.Context(), "1"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("a session that is gone: %v", err)
	}
	if err := n.WriteAt(make([]byte, 512), 0, false); err == nil {
		t.Error("a session that was dropped writes")
	}
	if _, err := login(t, s, initiator.Options{Name: hostOne}); err != nil {
		t.Fatalf("after the NBD writer has gone: %v", err)
	}
	var told *client.OptionError
	if _, err := client.Dial(s.Addresses().NBD, "v"); !errors.As(err, &told) || !strings.Contains(told.Message, "initiator "+hostOne) ||
		!strings.Contains(told.Message, "--sharing on") {
		t.Errorf("an NBD writer beside an iSCSI writer is told: %v", err)
	}
	rule(t, s, api.Access{Sharing: true})
	c := dial(t, s, "v")
	_ = c.Close()
}

// CHAP, names and rights of a volume, changed while it is in use.
func TestAccessRules(t *testing.T) {
	s := doorSystem(t)
	const secret = "a secret of the test"
	rule(t, s, api.Access{
		Initiators: []api.AccessEntry{{Name: hostOne}, {Name: hostTwo, ReadOnly: true}},
		Users:      []api.AccessUser{{Name: "alice", Secret: secret}},
		Mutual:     &api.AccessUser{Name: "gateway", Secret: secret + "?"},
	})
	if a, err := s.Access(t.Context(), "v"); err != nil || len(a.Users) != 1 || a.Users[0].Secret != "" || a.Mutual == nil || a.Mutual.Secret != "" || a.Revision != 1 {
		t.Errorf("shown: %+v, %v", a, err)
	}
	for what, opt := range map[string]initiator.Options{
		"no user":      {Name: hostOne},
		"wrong secret": {Name: hostOne, User: "alice", Secret: secret + "!"},
		"wrong name":   {Name: hostOne + "x", User: "alice", Secret: secret},
		"wrong target": {Name: hostOne, User: "alice", Secret: secret, MutualUser: "gateway", MutualSecret: secret + "!"},
	} {
		if _, err := login(t, s, opt); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	one, err := login(t, s, initiator.Options{Name: hostOne, User: "alice", Secret: secret, MutualUser: "gateway", MutualSecret: secret + "?"})
	if err != nil {
		t.Fatal(err)
	}
	two, err := login(t, s, initiator.Options{Name: hostTwo, User: "alice", Secret: secret}) // a reader is no second writer
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 512)
	if one.WriteAt(block, 0, false) != nil || two.ReadAt(block, 0) != nil || two.WriteAt(block, 0, false) == nil {
		t.Error("one shall write, two shall only read")
	}
	if c, err := client.Dial(s.Addresses().NBD, "v"); err == nil {
		t.Error("the NBD door lets in where only iSCSI has rules", c.Close())
	}
	rule(t, s, api.Access{Initiators: []api.AccessEntry{{Name: hostTwo}}})
	if one.WriteAt(block, 0, false) == nil || two.ReadAt(block, 0) == nil {
		t.Error("sessions that the new rules do not let be go on")
	}
	if list := s.Sessions(); len(list) != 0 {
		t.Errorf("sessions %+v", list)
	}
	for what, a := range map[string]api.Access{
		"new user without secret":        {Users: []api.AccessUser{{Name: "bob"}}},
		"certificates without authority": {TLS: []api.AccessEntry{{Name: "web"}}},
		"no address":                     {Hosts: []api.AccessEntry{{Name: "nowhere"}}},
	} {
		if _, err := s.SetAccess(t.Context(), "v", a); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%s: %v, want invalid", what, err)
		}
	}
	if _, err := s.SetAccess(t.Context(), "v", api.Access{Revision: 1}); !errors.Is(err, api.ErrConflict) {
		t.Errorf("a change of old rules: %v, want conflict", err)
	}
}

// Rules outlive a restart, and those of a volume hold for its points.
func TestRulesOfPoints(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	if _, err := s.CreateSnapshot(t.Context(), groupName, "one"); err != nil {
		t.Fatal(err)
	}
	rule(t, s, api.Access{Initiators: []api.AccessEntry{{Name: hostOne}}})
	stop(t, s)
	s = start(t, api.RoleAll, c)
	defer stop(t, s)
	if n, err := client.Dial(s.Addresses().NBD, "v@one"); err == nil {
		t.Error("a point is open where its volume is not", n.Close())
	}
	for _, name := range []string{"v@one", "v:point:one", "V:Point:ONE"} {
		for host, want := range map[string]bool{hostOne: true, hostTwo: false} {
			i, err := initiator.Dial(t.Context(), s.Addresses().ISCSI, iscsi.IQN(name), initiator.Options{Name: host})
			if (err == nil) != want {
				t.Errorf("%s by %s: %v", name, host, err)
			}
			if err == nil {
				if list := s.Sessions(); len(list) != 1 || list[0].Volume != "v@one" || !list[0].ReadOnly {
					t.Errorf("sessions %+v", list)
				}
				_ = i.Logout()
			}
		}
	}
}

// A volume is not deleted under clients unless that is asked for; then their sessions end.
func TestDeleteAttached(t *testing.T) {
	s := doorSystem(t)
	n := dial(t, s, "v")
	defer func() { _ = n.Close() }()
	if err := s.DeleteVolume(t.Context(), "v", false); !errors.Is(err, api.ErrConflict) {
		t.Errorf("deleted under a client: %v, want conflict", err)
	}
	if err := n.WriteAt(make([]byte, 512), 0, false); err != nil {
		t.Errorf("after the refused deletion: %v", err)
	}
	if err := s.DeleteVolume(t.Context(), "v", true); err != nil {
		t.Fatal(err)
	}
	if err := n.WriteAt(make([]byte, 512), 0, false); err == nil {
		t.Error("a client writes to a deleted volume")
	}
}

// Doors at several places, of which one is a Unix socket that a killed process has left.
func TestListeners(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	socket := filepath.Join(t.TempDir(), "nbd.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	c.NBD, c.ISCSI = "127.0.0.1:0,unix:"+socket, "127.0.0.1:0,127.0.0.1:0"
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	a := s.Addresses()
	if !strings.HasSuffix(a.NBDListeners, ",unix:"+socket) || !strings.HasPrefix(a.NBDListeners, a.NBD+",") {
		t.Errorf("NBD door at %q, first %q", a.NBDListeners, a.NBD)
	}
	portals := strings.Split(a.ISCSIListeners, ",")
	for _, p := range portals {
		list, err := initiator.Discover(t.Context(), p, initiator.Options{})
		if err != nil || len(list) != 1 || len(list[0].Portals) != 2 || list[0].Portals[0] != p {
			t.Errorf("discovery at %s: %+v, %v", p, list, err)
		}
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	other := c
	other.Data = t.TempDir()
	if x, err := Start(t.Context(), api.RoleAll, other, s.log); !errors.Is(err, api.ErrConflict) {
		t.Errorf("a socket in use was taken over: %v", err)
		if err == nil {
			_ = x.Close()
		}
	}
}

// Discovery tells the portals that are set instead of where the door listens.
func TestAdvertisedPortals(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	c.ISCSIPortals = "192.0.2.1:3260,[2001:db8::1]:3260"
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	list, err := initiator.Discover(t.Context(), s.Addresses().ISCSIListeners, initiator.Options{})
	if err != nil || len(list) != 1 || strings.Join(list[0].Portals, ",") != c.ISCSIPortals {
		t.Errorf("discovery: %+v, %v", list, err)
	}
}
