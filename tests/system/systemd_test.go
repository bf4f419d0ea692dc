package system

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/target/nbd/client"
)

// Sockets that a service manager has opened are taken over by their names, and it is told when the doors are open and
// when they close.
func TestSocketActivation(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	told := func() string {
		t.Helper()
		b := make([]byte, 256)
		_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	run := func(name string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", weirBinary, "up", "--data", filepath.Join(dir, "data"),
			"--volume", "v:1M", "--nbd", "127.0.0.1:1", "--iscsi", "off", "--admin", "off") // port 1 would fail
		cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name, "NOTIFY_SOCKET="+manager.LocalAddr().String())
		cmd.ExtraFiles = []*os.File{socket}
		return cmd
	}
	cmd := run("nbd")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "READY=1" {
		t.Errorf("told %q", got)
	}
	c, err := client.Dial(l.Addr().String(), "v")
	if err != nil {
		t.Error(err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "STOPPING=1" {
		t.Errorf("told %q", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	out, err := run("nbd0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "FileDescriptorName=") {
		t.Errorf("a socket of another name: %v\n%s", err, out)
	}
}
