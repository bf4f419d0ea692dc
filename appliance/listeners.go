package appliance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/systemd"
)

// takeSockets takes over what a service manager has opened for us.
func (s *System) takeSockets() error {
	sockets, err := systemd.Take("nbd", "iscsi", "admin")
	if err != nil {
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	s.sockets = sockets
	if len(sockets) > 0 {
		s.closing.add("sockets of the service manager", func() error {
			var errs []error
			for _, list := range s.sockets { // those that nobody wanted
				errs = append(errs, closeAll(list))
			}
			return errors.Join(errs...)
		})
	}
	return nil
}

// inherited returns the sockets that a service manager has opened for a door, once.
func (s *System) inherited(name string) []net.Listener {
	list := s.sockets[name]
	delete(s.sockets, name)
	return list
}

// listeners opens the places of a door: those that the service manager has opened, else those configured. title is for
// people.
func (s *System) listeners(name, title, addresses string) ([]net.Listener, error) {
	if list := s.inherited(name); len(list) > 0 {
		return list, nil
	}
	places, err := config.ParseListeners(addresses)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", api.ErrInvalid, title, err)
	}
	var list []net.Listener
	for _, p := range places {
		l, err := listenAt(title, p)
		if err != nil {
			return nil, errors.Join(err, closeAll(list))
		}
		list = append(list, l)
	}
	return list, nil
}

func closeAll(list []net.Listener) error {
	var errs []error
	for _, l := range list {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func listenAt(title string, p config.Listener) (net.Listener, error) {
	if p.Network == "unix" {
		return listenUnix(title, p.Address)
	}
	return listen(title, p.Address)
}

// listen opens a port; the error says whose it is.
func listen(name, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

func inUse(name string, err error) error {
	return api.Advise(fmt.Errorf("%w: %s: %w", api.ErrConflict, name, err),
		"stop what listens there, or give another address with its flag; port 0 takes a free one")
}

// listenUnix opens a socket that only its owner and group can reach. One that nobody listens at any more, left by a
// process that was killed, is replaced.
func listenUnix(name, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, inUse(name, fmt.Errorf("%s is there and is no socket", path))
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			return nil, errors.Join(inUse(name, fmt.Errorf("%s: %w", path, syscall.EADDRINUSE)), conn.Close())
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), l.Close())
	}
	return l, nil
}
