package vfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity reads what sysfs tells of a block device: the UUID of a device-mapper device, the file behind a loop device, or
// the WWN or serial number of the disk and the number of the partition (Linux, Documentation/ABI/stable/sysfs-block).
func (OS) Identity(name string) (id string, device bool, err error) {
	st, err := os.Stat(name)
	if err != nil {
		return "", false, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if st.Mode().Type() != os.ModeDevice || !ok {
		return "", false, nil
	}
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(sys.Rdev), unix.Minor(sys.Rdev)))
	if err != nil {
		return "", true, nil // sysfs is not mounted: nothing is known
	}
	return deviceIdentity(dir), true, nil
}

// deviceIdentity reads the folder of a device in sysfs.
func deviceIdentity(dir string) string {
	for _, own := range []string{"dm/uuid", "loop/backing_file"} {
		if s := attribute(dir, own); s != "" {
			return own + ":" + s
		}
	}
	part := attribute(dir, "partition")
	if part != "" {
		dir = filepath.Dir(dir) // of the disk
	}
	for _, disk := range []string{"wwid", "device/wwid", "serial", "device/serial"} {
		if s := attribute(dir, disk); s != "" {
			return disk + ":" + s + ":" + part
		}
	}
	return ""
}

// attribute reads one value; "" if it is not there.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(b)), " ")
}
