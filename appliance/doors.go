package appliance

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"weak"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/raftstore/clone"
	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/nbd"
)

// doors are the servers through which hosts reach the volumes.
type doors struct {
	nbd   *nbd.Server
	iscsi *iscsi.Server
}

// startDoors opens the doors that are configured.
func (s *System) startDoors() error {
	g := s.gateway
	if s.cfg.NBD != config.Off {
		g.doors.nbd = nbd.NewServer(exports{g}, nbd.Options{Logger: s.log.With("room", "nbd")})
		addr, err := s.serve("NBD door", s.cfg.NBD, g.doors.nbd)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.addresses.NBD = addr
		s.mu.Unlock()
	}
	if s.cfg.ISCSI != config.Off {
		t := &targets{gateway: g}
		t.mu.points = make(map[string]weak.Pointer[pointDevice])
		g.doors.iscsi = iscsi.NewServer(t, iscsi.Options{Logger: s.log.With("room", "iscsi")})
		addr, err := s.serve("iSCSI door", s.cfg.ISCSI, g.doors.iscsi)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.addresses.ISCSI = addr
		s.mu.Unlock()
	}
	return nil
}

// door is a server of either protocol.
type door interface {
	Serve(net.Listener) error
	Close() error
}

// listen opens a port; the error says whose it is.
func listen(name, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, api.Advise(fmt.Errorf("%w: %s: %w", api.ErrConflict, name, err),
			"stop what listens there, or give another address with its flag; port 0 takes a free one")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// serve opens one door and returns its address. A door that ends by itself ends the role.
func (s *System) serve(name, addr string, d door) (string, error) {
	l, err := listen(name, addr)
	if err != nil {
		return "", errors.Join(err, d.Close())
	}
	joined := make(chan struct{})
	closing := make(chan struct{})
	go func() {
		defer close(joined)
		err := d.Serve(l)
		select {
		case <-closing:
		default:
			s.fail(fmt.Errorf("%s at %s has ended: %w", name, addr, errors.Join(err)))
		}
	}()
	s.closing.add(name, func() error {
		close(closing)
		err := d.Close()
		<-joined
		return err
	})
	return l.Addr().String(), nil
}

// exports shows the volumes of a gateway, and their points, to the NBD door.
type exports struct {
	gateway *gateway
}

var _ nbd.Exports = exports{}

// Export implements nbd.Exports.
func (e exports) Export(name string) (target.Device, nbd.ExportInfo, error) {
	d, err := e.gateway.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", nbd.ErrUnknownExport, err)
	}
	if err != nil {
		return nil, nbd.ExportInfo{}, err
	}
	return d, nbd.ExportInfo{Name: name}, nil
}

// List implements nbd.Exports: the volumes. Points are served by name and not listed, there are many.
func (e exports) List() []nbd.ExportInfo {
	var out []nbd.ExportInfo
	for _, v := range e.gateway.group.Volumes() {
		out = append(out, nbd.ExportInfo{Name: v.Name(), Description: "volume of group " + groupName})
	}
	for _, d := range e.gateway.system.cloneDevices() {
		out = append(out, nbd.ExportInfo{Name: d.Name(), Description: "clone"})
	}
	return out
}

// targets shows the same to the iSCSI door.
type targets struct {
	gateway *gateway
	mu      struct {
		sync.Mutex
		points map[string]weak.Pointer[pointDevice] // devices in use by name: sessions to one point share its device
	}
}

var _ iscsi.Targets = (*targets)(nil)

// Target implements iscsi.Targets.
func (t *targets) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	name, ok := iscsi.VolumeOf(iqn)
	if !ok {
		return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
	}
	d, err := t.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", iscsi.ErrUnknownTarget, err)
	}
	if err != nil {
		return nil, iscsi.TargetInfo{}, err
	}
	info := iscsi.TargetInfo{IQN: iscsi.IQN(name), Alias: name}
	switch d := d.(type) {
	case *intercept.Volume:
		info.ID = d.ID().UUID
	case *pointDevice:
		info.ID = d.id()
	case *clone.Device:
		info.ID = d.ID()
	}
	return d, info, nil
}

func (t *targets) device(name string) (target.Device, error) {
	d, err := t.gateway.device(name)
	p, isPoint := d.(*pointDevice)
	if err != nil || !isPoint {
		return d, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if have := t.mu.points[name].Value(); have != nil && have.id() == p.id() {
		return have, nil
	}
	for n, w := range t.mu.points {
		if w.Value() == nil {
			delete(t.mu.points, n)
		}
	}
	t.mu.points[name] = weak.Make(p)
	return p, nil
}

// List implements iscsi.Targets.
func (t *targets) List() []iscsi.TargetInfo {
	var out []iscsi.TargetInfo
	for _, v := range t.gateway.group.Volumes() {
		out = append(out, iscsi.TargetInfo{IQN: iscsi.IQN(v.Name()), Alias: v.Name(), ID: v.ID().UUID})
	}
	for _, d := range t.gateway.system.cloneDevices() {
		out = append(out, iscsi.TargetInfo{IQN: iscsi.IQN(d.Name()), Alias: d.Name(), ID: d.ID()})
	}
	return out
}
