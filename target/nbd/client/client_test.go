package client

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/memory"
	"github.com/weirstor/weir/target/nbd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exports serves devices by name.
type exports map[string]target.Device

func (e exports) Export(name string) (target.Device, nbd.ExportInfo, error) {
	d, ok := e[name]
	if !ok {
		return nil, nbd.ExportInfo{}, nbd.ErrUnknownExport
	}
	return d, nbd.ExportInfo{Name: name}, nil
}

func (e exports) List() []nbd.ExportInfo {
	var out []nbd.ExportInfo
	for name := range e {
		out = append(out, nbd.ExportInfo{Name: name})
	}
	return out
}

func serve(t *testing.T, e exports) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := nbd.NewServer(e, nbd.Options{})
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-joined
	})
	return l.Addr().String()
}

func dial(t *testing.T, addr, export string) *Client {
	t.Helper()
	c, err := Dial(addr, export)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestReadsWhatWasWritten(t *testing.T) {
	c := dial(t, serve(t, exports{"v": memory.New(64<<20, 512)}), "v")
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
		t.Errorf("zeroed range does not read as zeroes: %v", err)
	}
}

func TestErrnoLeavesTheConnection(t *testing.T) {
	c := dial(t, serve(t, exports{"v": memory.New(1<<20, 512)}), "v")
	var errno syscall.Errno
	if err := c.ReadAt(make([]byte, 4096), 1<<20); !errors.As(err, &errno) {
		t.Errorf("read beyond the end: %v, want an errno", err)
	}
	if err := c.ReadAt(make([]byte, 4096), 0); err != nil {
		t.Errorf("next read: %v", err)
	}
}

func TestListAndRefusal(t *testing.T) {
	addr := serve(t, exports{"one": memory.New(1<<20, 512), "two": memory.New(1<<20, 512)})
	names, err := List(addr)
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"one", "two"}) {
		t.Errorf("exports %q, %v", names, err)
	}
	var refused *OptionError
	if _, err := Dial(addr, "three"); !errors.As(err, &refused) {
		t.Errorf("unknown export: %v, want a refusal", err)
	}
}

func TestServerGoesAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := nbd.NewServer(exports{"v": memory.New(1<<20, 512)}, nbd.Options{})
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		_ = s.Serve(l)
	}()
	c := dial(t, l.Addr().String(), "v")
	_ = s.Close()
	<-joined
	if err := c.Flush(); !errors.Is(err, ErrDisconnected) {
		t.Errorf("request after the server's end: %v, want ErrDisconnected", err)
	}
}
