package system

import (
	"crypto/sha256"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/memory"
	"github.com/weirstor/weir/target/nbd"
)

// targets are devices in memory behind the iSCSI door.
type targets struct {
	infos []iscsi.TargetInfo
	devs  map[string]target.Device
}

func (s *targets) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	for _, i := range s.infos {
		if i.IQN == iqn {
			return s.devs[iqn], i, nil
		}
	}
	return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
}

func (s *targets) List() []iscsi.TargetInfo { return s.infos }

const doorBytes = 4 << 20 // of each device behind a bare door

// add makes a target called name.
func (s *targets) add(name string, access iscsi.Access) {
	sum := sha256.Sum256([]byte(name))
	info := iscsi.TargetInfo{IQN: iscsi.IQN(name), Alias: name, ID: [16]byte(sum[:16]), Access: access}
	if s.devs == nil {
		s.devs = make(map[string]target.Device)
	}
	s.infos, s.devs[info.IQN] = append(s.infos, info), memory.New(doorBytes, 512)
}

// serve serves them until the test ends.
func (s *targets) serve(t *testing.T, opt iscsi.Options) (*iscsi.Server, string) {
	t.Helper()
	l := listen(t)
	srv := iscsi.NewServer(s, opt)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-served); !errors.Is(err, iscsi.ErrClosed) {
			t.Error(err)
		}
	})
	return srv, l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// export is a device in memory behind the NBD door. It counts the clients that attach.
type export struct {
	target.Device
	readOnly bool
	attached atomic.Int64
}

func (e *export) ReadOnly() bool { return e.readOnly }

// exports are exports by name.
type exports map[string]*export

func (s exports) Export(name string) (target.Device, nbd.ExportInfo, error) {
	e, ok := s[name]
	if !ok {
		return nil, nbd.ExportInfo{}, nbd.ErrUnknownExport
	}
	e.attached.Add(1)
	return e, nbd.ExportInfo{Name: name}, nil
}

func (s exports) List() []nbd.ExportInfo {
	var list []nbd.ExportInfo
	for name := range s {
		list = append(list, nbd.ExportInfo{Name: name})
	}
	return list
}

// serve serves them until the test ends.
func (s exports) serve(t *testing.T, opt nbd.Options) (*nbd.Server, string) {
	t.Helper()
	l := listen(t)
	srv := nbd.NewServer(s, opt)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-served); !errors.Is(err, nbd.ErrServerClosed) {
			t.Error(err)
		}
	})
	return srv, l.Addr().String()
}
