package nbdclient

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// serve starts nbdkit with args on a free port and returns its address.
func serve(t *testing.T, args ...string) (addr string, kill func()) {
	t.Helper()
	if _, err := exec.LookPath("nbdkit"); err != nil {
		t.Skip("needs the Debian package nbdkit")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nbdkit", append([]string{"-f", "-i", "127.0.0.1", "-p", port}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr, kill
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func dial(t *testing.T, addr, export string) *Client {
	t.Helper()
	c, err := Dial(addr, export)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadsWhatWasWritten(t *testing.T) {
	defer goleak.VerifyNone(t)
	addr, _ := serve(t, "memory", "64M")
	c := dial(t, addr, "")
	defer func() { _ = c.Close() }()
	if c.Size != 64<<20 || c.Flags&FlagFlush == 0 || c.Flags&FlagFUA == 0 {
		t.Fatalf("info %+v", c.Info)
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte(i + 1)}, 4096*(1+i%7))
			off := int64(i) * 65536
			got := make([]byte, len(p))
			err := errors.Join(c.WriteAt(p, off, i%5 == 0), c.Flush(), c.ReadAt(got, off))
			if err != nil || !bytes.Equal(got, p) {
				t.Errorf("request %d: read back something else: %v", i, err)
			}
		})
	}
	wg.Wait()
	got := make([]byte, 8192)
	err := errors.Join(c.Trim(0, 4096, false), c.WriteZeroes(4096, 4096, true, true), c.ReadAt(got, 0))
	if err != nil || !bytes.Equal(got, make([]byte, 8192)) {
		t.Errorf("trimmed range does not read as zeroes: %v", err)
	}
}

func TestErrnoLeavesTheConnection(t *testing.T) {
	addr, _ := serve(t, "memory", "1M")
	c := dial(t, addr, "")
	defer func() { _ = c.Close() }()
	var errno syscall.Errno
	if err := c.ReadAt(make([]byte, 4096), 1<<20); !errors.As(err, &errno) {
		t.Errorf("read beyond the end: %v, want an errno", err)
	}
	if err := c.ReadAt(make([]byte, 4096), 0); err != nil {
		t.Errorf("next read: %v", err)
	}
}

func TestServerDies(t *testing.T) {
	defer goleak.VerifyNone(t)
	addr, kill := serve(t, "--filter=delay", "memory", "1M", "delay-write=60")
	c := dial(t, addr, "")
	done := make(chan error)
	go func() { done <- c.WriteAt(make([]byte, 4096), 0, false) }()
	kill()
	if err := <-done; !errors.Is(err, ErrDisconnected) {
		t.Errorf("write in flight: %v, want ErrDisconnected", err)
	}
	if err := c.Flush(); !errors.Is(err, ErrDisconnected) {
		t.Errorf("later request: %v, want ErrDisconnected", err)
	}
	_ = c.Close()
}

func TestListAndRefusal(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"one", "two"} {
		if out, err := exec.Command("truncate", "-s", "1M", dir+"/"+n).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	addr, _ := serve(t, "file", "dir="+dir)
	names, err := List(addr)
	if err != nil || strings.Join(names, " ") != "one two" && strings.Join(names, " ") != "two one" {
		t.Errorf("exports %q, %v", names, err)
	}
	var refused *OptionError
	if _, err := Dial(addr, "three"); !errors.As(err, &refused) {
		t.Errorf("unknown export: %v, want a refusal", err)
	}
}
