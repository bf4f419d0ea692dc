package fstest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Mount mounts an image and returns the folder and a function that unmounts it, which the end of the test calls
// otherwise. It needs root; without, the test is skipped. kind is ext4, xfs or ntfs.
func Mount(t testing.TB, path, kind string) (dir string, unmount func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting an image needs root")
	}
	dir = t.TempDir()
	if kind == "ntfs" {
		Tool(t, "ntfs-3g", "ntfs-3g", path, dir)
	} else {
		mountLoop(t, path, dir, kind)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// mountLoop mounts by a loop device, which goes when the mount does.
func mountLoop(t testing.TB, path, dir, kind string) {
	t.Helper()
	out, err := exec.Command("mount", "-t", kind, "-o", "loop,noatime", path, dir).CombinedOutput()
	if err == nil {
		return
	}
	if s := string(out); strings.Contains(s, "loop") && !strings.Contains(s, "wrong fs") {
		t.Skipf("this machine has no loop devices: %s", s)
	}
	t.Fatalf("mount: %v: %s", err, out)
}
