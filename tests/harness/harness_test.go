package harness

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestMount(t *testing.T) {
	for program, pkg := range map[string]string{"nbdkit": "nbdkit", "nbdfuse": "libnbd-bin", "mkfs.ext4": "e2fsprogs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs the Debian package %s", pkg)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	ctx := testContext(t)
	addr, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	server := exec.Command("nbdkit", "-f", "-i", "127.0.0.1", "-p", port, "memory", "64M")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	if err := WaitListening(ctx, addr); err != nil {
		t.Fatal(err)
	}
	m, err := Attach(ctx, "nbd://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Format(ctx); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(m.Dir, "file"), []byte("content"), 0o644); err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// A process that ends before it is ready is reported at once, with its log.
func TestStartOfAProcessThatEnds(t *testing.T) {
	dir := t.TempDir()
	spec := Spec{Binary: "/bin/ls", Args: []string{"--no-such-flag"}, Data: dir, Log: filepath.Join(dir, "log")}
	_, err := spec.Start(testContext(t))
	if err == nil || !strings.Contains(err.Error(), "unrecognized option") {
		t.Errorf("%v, want the program's own message", err)
	}
}
