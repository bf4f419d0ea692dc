package appliance

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"weak"

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
	if err := s.startNBD(); err != nil {
		return err
	}
	return s.startISCSI()
}

func (s *System) startNBD() error {
	list, err := s.listeners("nbd", "NBD door", s.cfg.NBD)
	if err != nil || len(list) == 0 {
		return err
	}
	g := s.gateway
	opt := nbd.Options{Logger: s.log.With("room", "nbd"), Authorize: g.authorize, Attach: g.attachNBD}
	if opt.TLSMode, opt.TLS, err = s.nbdTLS(list); err != nil {
		return errors.Join(err, closeAll(list))
	}
	g.doors.nbd = nbd.NewServer(exports{g}, opt)
	s.serve("NBD door", list, g.doors.nbd)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.addresses.NBD, s.mu.addresses.NBDListeners = addressesOf(list)
	s.mu.addresses.NBDTLS = opt.TLSMode.String()
	return nil
}

func (s *System) startISCSI() error {
	list, err := s.listeners("iscsi", "iSCSI door", s.cfg.ISCSI)
	if err != nil || len(list) == 0 {
		return err
	}
	g := s.gateway
	first, all := addressesOf(list)
	t := &targets{gateway: g}
	t.mu.points = make(map[string]weak.Pointer[pointDevice])
	g.doors.iscsi = iscsi.NewServer(t, iscsi.Options{
		Logger: s.log.With("room", "iscsi"), Attach: g.attachISCSI, Reservations: g.reservations,
		PortalAddress: s.cfg.ISCSIPortals, Portals: portalsOf(list),
	})
	s.serve("iSCSI door", list, g.doors.iscsi)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.addresses.ISCSI, s.mu.addresses.ISCSIListeners = first, all
	if s.cfg.ISCSIPortals != "" {
		s.mu.addresses.ISCSI, _, _ = strings.Cut(s.cfg.ISCSIPortals, ",")
	}
	return nil
}

// portalsOf are the portals that discovery tells beside the one that was asked: those with an address of their own.
func portalsOf(list []net.Listener) []string {
	var out []string
	for _, l := range list {
		if t, ok := l.Addr().(*net.TCPAddr); ok && !t.IP.IsUnspecified() {
			out = append(out, t.String())
		}
	}
	return out
}

// addressesOf returns the first TCP address of list, and all addresses.
func addressesOf(list []net.Listener) (first, joined string) {
	var all []string
	for _, l := range list {
		if l.Addr().Network() == "unix" {
			all = append(all, "unix:"+l.Addr().String())
			continue
		}
		all = append(all, l.Addr().String())
		if first == "" {
			first = l.Addr().String()
		}
	}
	return first, strings.Join(all, ",")
}

// door is a server of either protocol.
type door interface {
	Serve(net.Listener) error
	Close() error
}

// serve opens one door at all its places. A door that ends by itself ends the role.
func (s *System) serve(name string, list []net.Listener, d door) {
	closing := make(chan struct{})
	joined := make(chan struct{}, len(list))
	for _, l := range list {
		go func() {
			defer func() { joined <- struct{}{} }()
			err := d.Serve(l)
			select {
			case <-closing:
			default:
				s.fail(fmt.Errorf("%s at %s has ended: %w", name, l.Addr(), errors.Join(err)))
			}
		}()
	}
	s.closing.add(name, func() error {
		close(closing)
		err := d.Close()
		for range list {
			<-joined
		}
		return err
	})
}

// nbdTLS returns how the NBD door speaks TLS.
func (s *System) nbdTLS(list []net.Listener) (nbd.TLSMode, *tls.Config, error) {
	mode, err := nbd.ParseTLSMode(s.cfg.NBDTLS)
	if err != nil || mode == nbd.TLSOff {
		return mode, nil, err
	}
	var names []string
	for _, l := range list {
		for _, n := range s.webNames(l.Addr()) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	d, err := s.openDoorTLS(names)
	if err != nil {
		return mode, nil, err
	}
	return mode, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: d.current}, nil
}
