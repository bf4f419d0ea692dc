package appliance

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	adminclient "github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/admin/runfile"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/nbd/client"
)

// testConfig has free ports and no pointer file in the user's cache.
func testConfig(t testing.TB) config.Config {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c := config.Default()
	c.Data = t.TempDir()
	c.Admin, c.NBD, c.ISCSI, c.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.LogBudget = 256 << 20
	c.Epoch = config.Duration(100 * time.Millisecond)
	return c
}

func start(t testing.TB, role api.Role, c config.Config) *System {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := Start(ctx, role, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t testing.TB, s *System) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func dial(t testing.TB, s *System, export string) *client.Client {
	t.Helper()
	c, err := client.Dial(s.Addresses().NBD, export)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func quiet(api.Progress) {}

// TestWhole writes through one door, reads through the other, follows with a disk, keeps a point, and starts again.
func TestWhole(t *testing.T) {
	c := testConfig(t)
	disk := filepath.Join(t.TempDir(), "v.img")
	c.Volumes = []config.Volume{{Name: "v", Size: 8 << 20, BlockSize: 512}}
	c.Disks = []config.Disk{{Volume: "v", Kind: "raw", Place: disk}}
	s := start(t, api.RoleAll, c)
	if h := s.Health(); h.State != api.HealthOK && h.State != api.HealthDegraded {
		t.Errorf("health after the start: %+v", h)
	}
	first := bytes.Repeat([]byte("first..."), 512)
	second := bytes.Repeat([]byte("second.."), 512)
	writeAndCheck(t, s, first, disk)
	if _, err := s.CreateSnapshot(t.Context(), groupName, "one"); err != nil {
		t.Fatal(err)
	}
	writeAndCheck(t, s, second, disk)
	checkPoint(t, s, first)
	if v, err := s.Verify(t.Context(), "", quiet); err != nil || !v.Equal || len(v.Disks) != 1 || len(v.Disks[0].Want) != 32 || v.Disks[0].Got != v.Disks[0].Want {
		t.Errorf("verify: %+v, %v", v, err)
	}
	if e, err := s.Explain(t.Context(), "v", 0, 0); err != nil || len(e.Epochs) == 0 || len(e.Chunks) == 0 || e.Changes == nil {
		t.Errorf("explain: %+v, %v", e, err)
	}
	explainPoint(t, s, int64(len(first)))
	stop(t, s)
	s = start(t, api.RoleAll, c)
	defer stop(t, s)
	readBack(t, s, second)
	checkPoint(t, s, first)
	if w, err := s.Wait(t.Context(), "v", quiet); err != nil || len(w.Disks) != 1 {
		t.Errorf("wait after a restart: %+v, %v", w, err)
	}
}

// explainPoint asks what the points changed around the n bytes that were written at 4096 before the named one.
func explainPoint(t *testing.T, s *System, n int64) {
	t.Helper()
	list, err := s.Snapshots(t.Context(), groupName)
	if err != nil {
		t.Fatal(err)
	}
	var changed, zeroes int64
	for _, p := range list {
		e, err := s.Explain(t.Context(), "v@"+strconv.FormatUint(p.Point.End, 10), 0, 1<<20)
		if err != nil || e.Volume != "v" || e.Changes == nil || e.Changes.Point != p.Point || e.Changes.Omitted != 0 {
			t.Fatalf("explain point at %d: %+v, %v", p.Point.End, e, err)
		}
		total := int64(0)
		for _, c := range e.Changes.Chunks {
			if c.Zero {
				zeroes++
			}
			if c.Offset < 4096 || c.Offset+c.Length > 4096+n || c.Class == "" {
				t.Errorf("point at %d: change %+v, written was %d+%d", p.Point.End, c, 4096, n)
			}
			total += c.Length
		}
		for _, c := range e.Changes.Totals {
			total -= int64(c.Bytes)
			changed += int64(c.Bytes)
		}
		if total != 0 {
			t.Errorf("point at %d: totals %+v are not those of %+v", p.Point.End, e.Changes.Totals, e.Changes.Chunks)
		}
	}
	if changed != 2*n || zeroes != 0 {
		t.Errorf("points changed %d bytes and made %d ranges zero, written was %d twice", changed, zeroes, n)
	}
	if _, err := s.Explain(t.Context(), "v@never", 0, 0); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("point that is not there: %v", err)
	}
	if _, err := s.Explain(t.Context(), "v@one", 8<<20, 1); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("behind the end: %v", err)
	}
}

// writeAndCheck writes p through NBD, reads it through iSCSI, and waits until the disk has it.
func writeAndCheck(t *testing.T, s *System, p []byte, disk string) {
	t.Helper()
	n := dial(t, s, "v")
	defer func() { _ = n.Close() }()
	if err := errors.Join(n.WriteAt(p, 4096, false), n.Flush(), n.Close()); err != nil {
		t.Fatal(err)
	}
	i, err := initiator.Dial(t.Context(), s.Addresses().ISCSI, iscsi.IQN("v"), initiator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(p))
	if err := errors.Join(i.ReadAt(got, 4096), i.Logout()); err != nil || !bytes.Equal(got, p) {
		t.Errorf("iSCSI reads something else: %v", err)
	}
	w, err := s.Wait(t.Context(), "v", quiet)
	if err != nil || len(w.Disks) != 1 {
		t.Fatalf("wait: %+v, %v", w, err)
	}
	b, err := os.ReadFile(disk)
	if err != nil || len(b) != 8<<20 || !bytes.Equal(b[4096:4096+len(p)], p) {
		t.Errorf("disk of %d bytes does not hold what was written: %v", len(b), err)
	}
}

func readBack(t *testing.T, s *System, want []byte) {
	t.Helper()
	n := dial(t, s, "v")
	defer func() { _ = n.Close() }()
	got := make([]byte, len(want))
	if err := n.ReadAt(got, 4096); err != nil || !bytes.Equal(got, want) {
		t.Errorf("volume holds something else: %v", err)
	}
}

// checkPoint reads the named point through both doors; it refuses writes.
func checkPoint(t *testing.T, s *System, want []byte) {
	t.Helper()
	n := dial(t, s, "v@one")
	defer func() { _ = n.Close() }()
	got := make([]byte, len(want))
	if err := n.ReadAt(got, 4096); err != nil || !bytes.Equal(got, want) {
		t.Errorf("point holds something else: %v", err)
	}
	if n.Flags&client.FlagReadOnly == 0 || n.WriteAt(want, 0, false) == nil {
		t.Error("a point takes writes")
	}
	i, err := initiator.Dial(t.Context(), s.Addresses().ISCSI, iscsi.IQN("v@one"), initiator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(i.ReadAt(got, 4096), i.Logout()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("point holds something else over iSCSI: %v", err)
	}
	if c, err := client.Dial(s.Addresses().NBD, "v@two"); err == nil {
		t.Error("a point that does not exist is served", c.Close())
	}
}

// TestRolesApart runs provider and gateway as two systems that only share certificates and a port.
func TestRolesApart(t *testing.T) {
	pki := t.TempDir()
	a, err := certs.NewAuthority(filepath.Join(pki, "ca"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, role := range map[string]certs.Role{"n1": certs.Node, "g1": certs.Gateway} {
		if _, err := a.Issue(filepath.Join(pki, name), role, name, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	pc := testConfig(t)
	pc.Certs, pc.Bootstrap, pc.ServeNBD, pc.ServeISCSI = filepath.Join(pki, "n1"), true, "127.0.0.1:0", "127.0.0.1:0"
	p := start(t, api.RoleProvider, pc)
	defer stop(t, p)
	gc := testConfig(t)
	gc.Certs, gc.Providers = filepath.Join(pki, "g1"), []string{p.Addresses().Provider}
	gc.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 4096}}
	g := start(t, api.RoleGateway, gc)
	defer stop(t, g)
	disk := filepath.Join(t.TempDir(), "v.img")
	if d, err := g.AddDisk(t.Context(), api.DiskAdd{Volume: "v", Kind: "raw", Place: disk}); err != nil || d.Node != "n1" {
		t.Fatalf("add disk: %+v, %v", d, err)
	}
	if _, err := g.AddDisk(t.Context(), api.DiskAdd{Volume: "v", Kind: "raw", Place: "relative"}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("relative path at another machine: %v, want invalid", err)
	}
	if w, err := g.Wait(t.Context(), "v", quiet); err != nil || len(w.Disks) != 1 {
		t.Errorf("wait: %+v, %v", w, err)
	}
	if _, err := p.CreateVolume(t.Context(), api.VolumeCreate{Name: "w", Size: 1 << 20}); !errors.Is(err, api.ErrUnsupported) {
		t.Errorf("volume at a provider: %v, want unsupported", err)
	}
	list, err := p.Snapshots(t.Context(), groupName)
	if err != nil || len(list) == 0 {
		t.Fatalf("points at the provider: %v, %v", list, err)
	}
	cloneAtProvider(t, p, pointText(list[0]))
	if cl, err := p.Cluster(t.Context()); err != nil || cl.Leader != "n1" || len(cl.Nodes) != 1 {
		t.Errorf("cluster: %+v, %v", cl, err)
	}
}

// TestDoorsOpenWithoutProvider: a provider that can not be reached keeps no door shut (G10).
func TestDoorsOpenWithoutProvider(t *testing.T) {
	pki := t.TempDir()
	a, err := certs.NewAuthority(filepath.Join(pki, "ca"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(filepath.Join(pki, "g"), certs.Gateway, "g", time.Now()); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t)
	c.Certs, c.Providers = filepath.Join(pki, "g"), []string{"127.0.0.1:1"}
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 4096}}
	c.Disks = []config.Disk{{Volume: "v", Kind: "raw", Place: "/nowhere/v.img"}}
	s := start(t, api.RoleGateway, c)
	defer stop(t, s)
	p := bytes.Repeat([]byte{7}, 4096)
	n := dial(t, s, "v")
	defer func() { _ = n.Close() }()
	if err := errors.Join(n.WriteAt(p, 4096, true), n.Flush()); err != nil {
		t.Error(err)
	}
	readBack(t, s, p)
	if h := s.Health(); h.State != api.HealthDegraded || h.Action == "" {
		t.Errorf("health without a provider: %+v, want degraded with advice", h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Wait(ctx, "v", quiet); !errors.Is(err, api.ErrTimeout) {
		t.Errorf("wait without a provider: %v, want timeout", err)
	}
	soon, cancelSoon := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancelSoon()
	if _, err := s.Verify(soon, "", quiet); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("verify without a provider: %v, want unavailable", err)
	}
}

func TestReplicationOff(t *testing.T) {
	c := testConfig(t)
	c.Replication = false
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 4096}}
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	if g := s.Status().Groups[0]; g.Replication != "off" {
		t.Errorf("replication is %q", g.Replication)
	}
	if _, err := s.Wait(t.Context(), "v", quiet); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("wait: %v, want unavailable", err)
	}
}

func TestStartFails(t *testing.T) {
	c := testConfig(t)
	running := start(t, api.RoleAll, c)
	d, err := runfile.InFolder(c.Data)
	if err != nil || d.Addresses != running.Addresses() || d.Token == "" {
		t.Errorf("run files: %+v, %v", d, err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := Start(t.Context(), api.RoleAll, c, log); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second system in one folder: %v", err)
	}
	taken := testConfig(t)
	taken.ISCSI = running.Addresses().NBD
	if _, err := Start(t.Context(), api.RoleAll, taken, log); err == nil || !strings.Contains(err.Error(), "iSCSI door") {
		t.Errorf("taken port: %v, want the door named", err)
	}
	if _, err := runfile.InFolder(taken.Data); !errors.Is(err, runfile.ErrNoDaemon) {
		t.Errorf("run files after a failed start: %v", err)
	}
	stop(t, running)
	if _, err := runfile.InFolder(c.Data); !errors.Is(err, runfile.ErrNoDaemon) {
		t.Errorf("run files after the end: %v", err)
	}
	if _, err := Start(t.Context(), "king", c, log); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("unknown role: %v", err)
	}
}

// TestAdminOverTLS: a command of the same user finds address, token and certificate by the data folder.
func TestAdminOverTLS(t *testing.T) {
	c := testConfig(t)
	c.AdminTLS = "on"
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	for name, opt := range map[string]adminclient.Options{
		"by folder":  {Data: c.Data},
		"by address": {Address: s.Addresses().Admin},
		"by page":    {Address: s.Addresses().Page},
	} {
		a, err := adminclient.New(opt)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := a.CreateVolume(t.Context(), api.VolumeCreate{Name: "v", Size: 1 << 20}); err != nil && !errors.Is(err, api.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
		a.Close()
	}
	other, err := certs.OpenWeb(t.TempDir(), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	a, err := adminclient.New(adminclient.Options{Address: s.Addresses().Page, Certificate: other.PEM})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Status(t.Context()); err == nil {
		t.Error("a daemon with another certificate is trusted")
	}
}
