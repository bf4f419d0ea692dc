package intercept

import (
	"fmt"
	"strings"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// deviceSuffix is of the name under which a group remembers which block device a volume has adopted: a link whose target
// is the device's identity.
const deviceSuffix = ".device"

// byPath begins the names that stay with a place where a device is plugged in.
const byPath = "/dev/disk/by-"

func deviceName(dir string, id ident.VolumeID) string {
	raw, _ := baseNames(dir, id)
	return strings.TrimSuffix(raw, rawSuffix) + deviceSuffix
}

// rememberDevice notes the identity of the device at path, if it is one, under name: names such as /dev/sdb move from one
// disk to another when a machine starts. It becomes durable with the next sync of the folder.
func rememberDevice(fs vfs.FS, path, name string) error {
	id, device, err := fs.Identity(path)
	switch {
	case err != nil || !device:
		return err
	case id == "" && !strings.HasPrefix(path, byPath):
		return fmt.Errorf("%w: %s has no serial number or WWN by which it could be known again when the machine has started anew; give it by its name in /dev/disk/by-path", ErrImage, path)
	case id == "":
		return nil
	}
	return fs.Link(id, name)
}

// sameDevice refuses a device that is not the one remembered under name.
func sameDevice(fs vfs.FS, path, name string) error {
	want, err := fs.LinkedTo(name)
	if err != nil || want == "" {
		return err
	}
	got, _, err := fs.Identity(path)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s is another device than the volume has adopted: it is %q, adopted was %q", path, got, want)
	}
	return nil
}
