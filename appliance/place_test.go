package appliance

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
)

// TestPlaces: no disk in the data folder, no relative path of an unknown folder, and one name for one file.
func TestPlaces(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}, {Name: "w", Size: 1 << 20, BlockSize: 512}}
	dir := t.TempDir()
	link := filepath.Join(dir, "link.img")
	if err := os.Symlink(filepath.Join(dir, "v.img"), link); err != nil {
		t.Fatal(err)
	}
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	added, err := s.AddDisk(t.Context(), api.DiskAdd{Volume: "v", Kind: "raw", Place: filepath.Join(dir, "v.img")})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		volume, place string
		want          error
	}{
		{"v", "relative.img", api.ErrInvalid},
		{"v", filepath.Join(c.Data, "groups", "x.img"), api.ErrInvalid},
		{"v", c.Data, api.ErrInvalid},
		{"w", dir + "/./v.img", api.ErrConflict},
		{"w", link, api.ErrConflict},
	} {
		if d, err := s.AddDisk(t.Context(), api.DiskAdd{Volume: x.volume, Kind: "raw", Place: x.place}); !errors.Is(err, x.want) {
			t.Errorf("disk %s for volume %s: %+v, %v, want %v", x.place, x.volume, d, err, x.want)
		}
	}
	if d, err := s.AddDisk(t.Context(), api.DiskAdd{Volume: "v", Kind: "raw", Place: link}); err != nil || d.ID != added.ID {
		t.Errorf("the same disk again: %+v, %v, want %s", d, err, added.ID)
	}
}

// TestStartErrors: what keeps a role from starting is told with what to do about it.
func TestStartErrors(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	locked := testConfig(t)
	lock, err := lockFolder(locked.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	inside, port := c, c
	inside.Disks = []config.Disk{{Volume: "v", Kind: "raw", Place: filepath.Join(c.Data, "v.img")}}
	port.Admin = l.Addr().String()
	for _, x := range []struct {
		name string
		cfg  config.Config
		want error
	}{{"disk in the data folder", inside, api.ErrInvalid}, {"port in use", port, api.ErrConflict}, {"folder in use", locked, api.ErrConflict}} {
		_, err := Start(t.Context(), api.RoleAll, x.cfg, slog.New(slog.DiscardHandler))
		if !errors.Is(err, x.want) || api.ProblemOf(err).Action == "" {
			t.Errorf("%s: %v with advice %q, want %v", x.name, err, api.ProblemOf(err).Action, x.want)
		}
	}
}

// TestSnapshotNames: of two points of one name that are made at a time, one is.
func TestSnapshotNames(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	const tries = 8
	errs := make(chan error, tries)
	for range tries {
		go func() {
			_, err := s.CreateSnapshot(context.WithoutCancel(t.Context()), groupName, "one")
			errs <- err
		}()
	}
	made := 0
	for range tries {
		if err := <-errs; err == nil {
			made++
		} else if !errors.Is(err, api.ErrConflict) {
			t.Error(err)
		}
	}
	if list, err := s.Snapshots(t.Context(), groupName); made != 1 || err != nil {
		t.Errorf("%d points were made, %+v, %v; want one", made, list, err)
	}
}
