package system

import (
	_ "embed"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/guest"
	"github.com/weirstor/weir/tests/harness"
)

//go:embed testdata/guest.sh
var guestScript string

// A Linux kernel attaches one volume over iSCSI and one over NBD, makes ext4 and XFS, and works on them; afterwards the
// disks hold the same files.
func TestLinuxKernel(t *testing.T) {
	need(t, "qemu-system-x86_64", "iscsid", "nbd-client", "mkfs.ext4", "mkfs.xfs", "sqlite3", "busybox")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	image, err := guest.Prepare(ctx, filepath.Join(root, "build", "guest"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	disks := map[string]string{"ext4": filepath.Join(dir, "ext4"), "xfs": filepath.Join(dir, "xfs")}
	d := start(t, ctx, upSpec(t, "--volume", "i:256M", "--disk", "i:raw:"+disks["ext4"],
		"--volume", "n:512M", "--disk", "n:raw:"+disks["xfs"]))

	_, iscsi, _ := net.SplitHostPort(d.Addresses.ISCSI)
	_, nbd, _ := net.SplitHostPort(d.Addresses.NBD)
	script := fmt.Sprintf("ISCSI=%s NBD=%s\n%s", iscsi, nbd, guestScript)
	out, err := image.Run(ctx, guest.Config{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	files := filesOfGuest(t, out)
	waitDisks(t, ctx, d, "i", "n")
	sameAsVolume(t, d, "i", disks["ext4"])
	sameAsVolume(t, d, "n", disks["xfs"])
	verified(t, ctx, d)
	run(t, ctx, "e2fsck", "-fn", disks["ext4"])
	for kind, disk := range disks {
		sameFiles(t, files[kind], filesOn(t, ctx, disk, kind))
	}
}

// filesOfGuest reads the lines "KIND SHA256  ./FILE" of the script's output.
func filesOfGuest(t *testing.T, out string) map[string]map[string]string {
	t.Helper()
	files := map[string]map[string]string{"ext4": {}, "xfs": {}}
	for line := range strings.Lines(out) {
		field := strings.Fields(line)
		if len(field) == 3 && files[field[0]] != nil {
			files[field[0]][strings.TrimPrefix(field[2], "./")] = field[1]
		}
	}
	if len(files["ext4"]) == 0 || !maps.EqualFunc(files["ext4"], files["xfs"], func(_, _ string) bool { return true }) {
		t.Fatalf("the guest did not list the same files on both volumes:\n%s", out)
	}
	return files
}
