package intercept

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstor/weir/intercept/vfs"
)

// plugged is the file system of this machine, with a file that says it is a device.
type plugged struct {
	vfs.OS
	id string
}

func (p plugged) Identity(string) (string, bool, error) { return p.id, true, nil }

// TestAnotherDevice gives the name of an adopted device to another: the group must not open.
func TestAnotherDevice(t *testing.T) {
	image := filepath.Join(t.TempDir(), "sdb")
	if err := os.WriteFile(image, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := testOptions()
	opt.FS = plugged{id: "wwid:one"}
	g, dir := create(t, opt)
	if _, err := g.CreateVolume(VolumeSpec{Name: "v", Size: mib, BlockSize: 512, Adopt: image}); err != nil {
		t.Fatal(err)
	}
	closeGroup(t, g)
	opt.FS = plugged{id: "wwid:two"}
	if g, err := Open(dir, opt); err == nil || !strings.Contains(err.Error(), "another device") {
		if err == nil {
			closeGroup(t, g)
		}
		t.Errorf("opened with another device: %v", err)
	}
	opt.FS = plugged{id: "wwid:one"}
	g, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	closeGroup(t, g)
}

// TestNamelessDevice adopts a device that nothing tells from others.
func TestNamelessDevice(t *testing.T) {
	image := filepath.Join(t.TempDir(), "vdb")
	if err := os.WriteFile(image, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	opt := testOptions()
	opt.FS = plugged{}
	g, _ := create(t, opt)
	if _, err := g.CreateVolume(VolumeSpec{Name: "v", Size: mib, BlockSize: 512, Adopt: image}); !errors.Is(err, ErrImage) {
		t.Errorf("adopted: %v", err)
	}
	closeGroup(t, g)
}
