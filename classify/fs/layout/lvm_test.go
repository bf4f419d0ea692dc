package layout

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/fstest"
)

// TestLVM lays out logical volumes with LVM's own tools, without the kernel's part, one of them in two pieces, and puts
// file systems into them by hand.
func TestLVM(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("LVM's tools want a block device, and loop devices need root")
	}
	path := fstest.Empty(t, 96<<20)
	out, err := exec.Command("losetup", "-f", "--show", path).CombinedOutput()
	if err != nil {
		t.Skipf("this machine has no loop devices: %s", out)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", loop).Run() })
	vg := "weirtest" + strings.ReplaceAll(loop, "/", "")
	lvm := func(name string, args ...string) {
		t.Helper()
		config := `devices { use_devicesfile = 0 filter = [ "a|^` + loop + `$|", "r|.*|" ] } backup { backup = 0 archive = 0 }`
		fstest.Tool(t, "lvm2", name, append([]string{"--driverloaded", "n", "--config", config}, args...)...)
	}
	lvm("pvcreate", "-y", loop)
	lvm("vgcreate", vg, loop)
	for _, args := range [][]string{{"-n", "first", "-l", "5"}, {"-n", "second", "-l", "6"}} {
		lvm("lvcreate", append([]string{"-an", "-Zn", "-Wn", "-y", vg}, args...)...)
	}
	lvm("lvextend", "-l", "+4", vg+"/first")

	ext4 := fstest.Empty(t, 36<<20)
	fstest.Tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-b", "4096", ext4)
	content, err := os.ReadFile(ext4)
	if err != nil {
		t.Fatal(err)
	}
	const start, extent = 1 << 20, 4 << 20
	image, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	for _, w := range []struct{ from, to, n int64 }{{0, start, 5 * extent}, {5 * extent, start + 11*extent, 4 * extent}} {
		if _, err := image.WriteAt(content[w.from:w.from+w.n], w.to); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[fs.Region]int64{}
	l, err := Find(fstest.FileView{File: image}, 96<<20, false, func(_, n int64, kind fs.Region) { kinds[kind] += n })
	if err != nil {
		t.Fatal(err)
	}
	if l.Name() != "lvm: ext4" || len(l.Systems) != 1 || l.Systems[0].Label != "lvm "+vg+"/first" {
		t.Fatalf("found %q: %+v", l.Name(), l.Systems)
	}
	if kinds[fs.GroupDesc] < 1<<19 {
		t.Errorf("only %d bytes are taken for LVM's metadata", kinds[fs.GroupDesc])
	}
	checkSame(t, l.Systems[0], content)
}

// checkSame reads a file system through its place and compares it with its image.
func checkSame(t *testing.T, s Found, content []byte) {
	t.Helper()
	b := make([]byte, 1000003)
	for off := int64(0); off < int64(len(content)); off += int64(len(b)) {
		clear(b)
		if err := s.on.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
		want := content[off:min(off+int64(len(b)), int64(len(content)))]
		if string(b[:len(want)]) != string(want) {
			t.Fatalf("the file system reads differently from %d on", off)
		}
	}
	moved := false
	s.Place(0, s.on.size(), func(in, out, n int64) { moved = moved || out-in > 4<<20 })
	if !moved {
		t.Error("the logical volume is in one piece: the test shows less than it should")
	}
}
