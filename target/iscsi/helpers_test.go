package iscsi_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf serves fixed devices.
type shelf struct {
	infos []iscsi.TargetInfo
	devs  map[string]target.Device
}

func (s *shelf) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	for _, i := range s.infos {
		if i.IQN == iqn {
			return s.devs[iqn], i, nil
		}
	}
	return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
}

func (s *shelf) List() []iscsi.TargetInfo { return s.infos }

// with adds a volume.
func (s *shelf) with(name string, dev target.Device, change ...func(*iscsi.TargetInfo)) *shelf {
	info := iscsi.TargetInfo{IQN: iscsi.IQN(name), Alias: name, ID: [16]byte{1, byte(len(s.infos) + 1), 0x42}}
	for _, f := range change {
		f(&info)
	}
	s.infos = append(s.infos, info)
	if s.devs == nil {
		s.devs = make(map[string]target.Device)
	}
	s.devs[info.IQN] = dev
	return s
}

// serve starts a server for targets and returns its address. It ends with the test.
func serve(t testing.TB, targets iscsi.Targets, opt iscsi.Options) (string, *iscsi.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if opt.LogoutGrace == 0 {
		opt.LogoutGrace = 200 * time.Millisecond
	}
	s := iscsi.NewServer(targets, opt)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if err := <-served; !errors.Is(err, iscsi.ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return l.Addr().String(), s
}

// dial logs in to volume and logs out at the end of the test.
func dial(t testing.TB, addr, volume string, opt initiator.Options) *initiator.Session {
	t.Helper()
	s, err := initiator.Dial(context.Background(), addr, iscsi.IQN(volume), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Logout() })
	return s
}

const mib = 1 << 20

// newDisk serves one volume "v" of memory.
func newDisk(t testing.TB, size int64, blockSize int) (string, target.Device) {
	dev := memory.New(size, blockSize)
	addr, _ := serve(t, new(shelf).with("v", dev), iscsi.Options{})
	return addr, dev
}
