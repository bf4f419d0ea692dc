package guest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadOrder(t *testing.T) {
	const dep = "a/top.ko: a/mid.ko a/low.ko\na/mid.ko: a/low.ko\na/low.ko:\nb/other.ko: a/low.ko\n"
	got, err := loadOrder(dep, []string{"top", "other"})
	if want := []string{"a/low.ko", "a/mid.ko", "a/top.ko", "b/other.ko"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("order %v, %v, want %v", got, err, want)
	}
	if _, err := loadOrder(dep, []string{"missing"}); err == nil {
		t.Error("a module that the kernel does not have was accepted")
	}
}

func TestArchive(t *testing.T) {
	cpio, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs the Debian package busybox-static")
	}
	var buf bytes.Buffer
	a := newArchive(&buf)
	if err := errFirst(a.file("a/b/file", 0o640, []byte("hello")), a.link("a/link", "b/file"), a.close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(cpio, "cpio", "-i", "-d")
	cmd.Dir, cmd.Stdin = dir, &buf
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a/link")); err != nil || string(got) != "hello" {
		t.Errorf("unpacked %q, %v", got, err)
	}
}

func TestBoot(t *testing.T) {
	for program, pkg := range map[string]string{"qemu-system-x86_64": "qemu-system-x86", "iscsid": "open-iscsi",
		"nbd-client": "nbd-client", "mkfs.xfs": "xfsprogs", "sqlite3": "sqlite3", "busybox": "busybox-static"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs the Debian package %s", pkg)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	image, err := Prepare(ctx, "../../build/guest")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("output", func(t *testing.T) {
		out, err := image.Run(ctx, Config{Script: "uname -s; grep -c . /proc/modules >/dev/null; iscsiadm --version; echo a | sha256sum"})
		if err != nil || !strings.HasPrefix(out, "Linux\n") || !strings.Contains(out, "87428fc522803d31") {
			t.Errorf("%v, output %q", err, out)
		}
	})
	t.Run("failure", func(t *testing.T) {
		out, err := image.Run(ctx, Config{Script: "echo before; false; echo after"})
		if err == nil || !strings.Contains(err.Error(), "status 1") || strings.Contains(out, "after") {
			t.Errorf("%v, output %q", err, out)
		}
	})
}
