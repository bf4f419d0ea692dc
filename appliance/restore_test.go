package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/migrate"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/target"
)

// gatewayFolder is a gateway that was not started, in a new data folder.
func gatewayFolder(t *testing.T) *gateway {
	t.Helper()
	s := &System{cfg: testConfig(t), log: slog.New(slog.DiscardHandler), journal: admin.NewJournal()}
	file, err := openGatewayFile(s.cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	return &gateway{system: s, file: &gatewayRecord{dir: s.cfg.Data, file: file}}
}

// makeGroup makes a group with a volume of that name in a folder, and closes it.
func makeGroup(t *testing.T, g *gateway, folder, volume string) *intercept.Group {
	t.Helper()
	if err := os.MkdirAll(g.system.groupFolder(""), 0o700); err != nil {
		t.Fatal(err)
	}
	group, err := intercept.Create(g.system.groupFolder(folder), g.system.groupOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := group.CreateVolume(intercept.VolumeSpec{Name: volume, Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	return group
}

// A restore that was cut off after it had put the group aside goes on with what it had filled, and what was put aside is
// known.
func TestRestoreCutOff(t *testing.T) {
	g := gatewayFolder(t)
	old, filled := makeGroup(t, g, groupName, "old"), makeGroup(t, g, restoringName, "new")
	if err := errors.Join(old.Close(), filled.Close()); err != nil {
		t.Fatal(err)
	}
	if err := g.file.change(func(f *gatewayFile) { f.Act, f.From = actRestore, filled.ID() }); err != nil {
		t.Fatal(err)
	}
	if done, err := g.finishRestore(); done || err != nil {
		t.Fatalf("with the group in its place: %v, %v", done, err)
	}
	if err := g.putAside(); err != nil {
		t.Fatal(err)
	}
	file, err := openGatewayFile(g.system.cfg.Data) // what the next process finds
	if err != nil {
		t.Fatal(err)
	}
	next := &gateway{system: g.system, file: &gatewayRecord{dir: g.system.cfg.Data, file: file}}
	if err := next.restoreIfDecided(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	group, err := g.system.openGroup()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := group.Volume("new"); err != nil {
		t.Errorf("the group is not what was filled: %v", err)
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
	if b := next.branches(); len(b) != 1 || b[0].Group != old.ID().String() {
		t.Errorf("branches: %+v", b)
	}
	if f := next.file.get(); f.Act != actRestored {
		t.Errorf("act %q after the restore", f.Act)
	}
}

// Writes that a cutover holds without having come to its fence fail when the system stops, so that the doors can close.
func TestHeldWritesEndAtStop(t *testing.T) {
	g := gatewayFolder(t)
	g.group = makeGroup(t, g, groupName, "v")
	defer g.closeGroup()
	v, err := g.group.Volume("v")
	if err != nil {
		t.Fatal(err)
	}
	g.group.Hold()
	x := &migration{g: g, m: &migrate.Migration{ID: "m", State: migrate.Fenced}}
	written := make(chan error, 1)
	go func() { written <- v.WriteAt(make([]byte, 4096), 0, false) }()
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; !errors.Is(err, target.ErrFenced) {
		t.Errorf("a held write: %v", err)
	}
	if _, _, err := x.begin(t.Context()); !errors.Is(err, api.ErrUnavailable) {
		t.Errorf("a cutover after that: %v", err)
	}
}

// A restore for which the disk has no room is given up instead of being fetched again and again.
func TestHopeless(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("base at 0: %w", syscall.ENOSPC), true}, {fmt.Errorf("volume: %w", replicate.ErrPartial), true},
		{fmt.Errorf("taking the group: %w", context.DeadlineExceeded), false},
	} {
		if got := hopeless(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
