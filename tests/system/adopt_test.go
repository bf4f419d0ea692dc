package system

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

// A block device with a file system becomes a volume: refused while it is mounted, with where; then its files are on the
// disk that follows, and the device has what was written to the volume.
func TestAdoptDevice(t *testing.T) {
	needRoot(t)
	need(t, "mkfs.ext4", "losetup", "e2fsck")
	ctx := testContext(t, 4*time.Minute)
	dir := t.TempDir()
	image, mount, disk := filepath.Join(dir, "device.img"), filepath.Join(dir, "mnt"), filepath.Join(dir, "copy.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "mkfs.ext4", "-q", image)
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		unmet(t, "needs loop devices: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	defer run(t, ctx, "losetup", "--detach", device)
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "mount", device, mount)
	if err := os.WriteFile(filepath.Join(mount, "letter"), bytes.Repeat([]byte("dear reader\n"), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	want := sums(t, mount)

	d := start(t, ctx, upSpec(t))
	create := []string{weirBinary, "volume", "create", "v", "--adopt", device, "--data", d.Data}
	if out, err := harness.Run(ctx, create...); err == nil || !strings.Contains(out, "mounted at "+mount) {
		t.Errorf("a mounted device: %v: %s", err, out)
	}
	run(t, ctx, "umount", mount)
	run(t, ctx, create...)
	weir(t, ctx, d, "disk", "add", "v", "raw", disk)
	waitDisks(t, ctx, d, "v")
	sameAsVolume(t, d, "v", disk)
	verified(t, ctx, d)
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	if d, err = d.Restart(ctx); err != nil { // it is known again
		t.Fatal(err)
	}
	verified(t, ctx, d)
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	run(t, ctx, "e2fsck", "-fn", disk)
	sameFiles(t, want, filesOn(t, ctx, disk, "ext4"))
	run(t, ctx, "cmp", device, disk)
}
