package disk

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestParseNBD(t *testing.T) {
	for place, want := range map[string]string{
		"nbd://host/x":         "host:10809 x",
		"nbd://host:99/a/b":    "host:99 a/b",
		"nbd://[::1]:99/":      "[::1]:99 ",
		"nbd://host":           "host:10809 ",
		"nbd+unix:///x?socket": "",
		"http://host/x":        "",
		"/a/file":              "",
		"nbd://%zz/":           "",
	} {
		addr, name, err := parseNBD(place)
		if want == "" {
			if !errors.Is(err, ErrSpec) {
				t.Errorf("%s: %v", place, err)
			}
		} else if err != nil || addr+" "+name != want {
			t.Errorf("%s: %q %q, %v", place, addr, name, err)
		}
	}
}

// serveQcow2 has qemu-nbd serve a new qcow2 image of size bytes and returns its address and how to stop it.
func serveQcow2(t *testing.T, image string, size int, port int) (stop func()) {
	t.Helper()
	if size > 0 {
		if out, err := exec.Command("qemu-img", "create", "-f", "qcow2", image, strconv.Itoa(size)).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img: %v: %s", err, out)
		}
	}
	cmd := exec.Command("qemu-nbd", "-f", "qcow2", "-t", "-b", "127.0.0.1", "-p", strconv.Itoa(port), "-x", "disk", image)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
			return stop
		}
		if ctx.Err() != nil {
			stop()
			t.Fatalf("qemu-nbd does not listen: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // between two tries to reach another program
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestQcow2 has a disk behind qemu-nbd follow a volume, through a restart of qemu-nbd.
func TestQcow2(t *testing.T) {
	for _, program := range []string{"qemu-nbd", "qemu-img"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("install qemu-utils")
		}
	}
	const size = 1 << 20
	h := newHistory(20)
	image, port := filepath.Join(t.TempDir(), "disk.qcow2"), freePort(t)
	stop := serveQcow2(t, image, size, port)
	d, err := New(Spec{ID: h.group.UUID, Group: h.group, Volume: h.volume, Kind: NBD,
		Place: "nbd://127.0.0.1:" + strconv.Itoa(port) + "/disk"}, Options{FS: vfs.NewMem(), Dir: "."})
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, size)
	follow := func() error {
		content = h.mutated(content, false)
		h.add(content)
		return d.Follow(t.Context(), h)
	}
	for range 3 {
		if err := follow(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := follow(); err == nil || d.Status().State != Failed {
		t.Fatalf("followed without a server: %+v", d.Status())
	}
	stop = serveQcow2(t, image, 0, port)
	if err := follow(); err != nil {
		t.Fatal(err)
	}
	r, err := d.Verify(t.Context(), h)
	if err != nil || r.Differing != 0 || !r.StateMatch() || r.Point != h.points[4].point {
		t.Fatalf("report %+v, %v", r, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	out, err := exec.Command("qemu-img", "convert", "-O", "raw", image, image+".raw").CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	got := readFile(t, image+".raw")
	if !bytes.Equal(got, content) {
		t.Fatal("the image is not the volume")
	}
}

// TestExportTooSmall expects a clear error for an export that can not hold the volume.
func TestExportTooSmall(t *testing.T) {
	if _, err := exec.LookPath("qemu-nbd"); err != nil {
		t.Skip("install qemu-utils")
	}
	h := newHistory(21)
	port := freePort(t)
	defer serveQcow2(t, filepath.Join(t.TempDir(), "small.qcow2"), 64<<10, port)()
	d, err := New(Spec{ID: h.group.UUID, Group: h.group, Volume: h.volume, Kind: NBD,
		Place: "nbd://127.0.0.1:" + strconv.Itoa(port) + "/disk"}, Options{FS: vfs.NewMem(), Dir: "."})
	if err != nil {
		t.Fatal(err)
	}
	h.add(h.mutated(make([]byte, 1<<20), false))
	if err := d.Follow(t.Context(), h); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), "65536") {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
