package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirstor/weir/admin"
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/appliance/config"
)

const adminCloseTimeout = 5 * time.Second

// startAdmin opens the admin port. On loopback it is open for reading; elsewhere every call needs the token, over TLS.
func (s *System) startAdmin(token string) error {
	l, err := s.adminListener()
	if err != nil || l == nil {
		return err
	}
	page := "http://" + l.Addr().String() + "/"
	local := isLoopback(l.Addr())
	if s.cfg.AdminTLS == "on" || s.cfg.AdminTLS == "auto" && !local {
		web, err := certs.OpenWeb(filepath.Join(s.cfg.Data, "web"), s.webNames(l.Addr()), time.Now())
		if err != nil {
			return errors.Join(err, l.Close())
		}
		s.web = web
		page = "https://" + l.Addr().String() + "/"
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{web.Certificate}, NextProtos: []string{"http/1.1"}})
		s.log.Info("the admin port speaks TLS", "address", l.Addr().String(), "certificate sha256", web.Fingerprint)
	}
	if !local {
		s.log.Info("every call at the admin port needs the token: in a browser it is the password of any user",
			"file", filepath.Join(s.cfg.Data, "run", "token"))
	}
	server, err := admin.New(admin.Options{
		Backend: s, Journal: s.journal, Logger: s.log.With("room", "admin"),
		Token: token, OpenReads: local, Hosts: s.hosts(),
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server.Serve(l)
	s.closing.add("admin", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), adminCloseTimeout)
		defer cancel()
		return server.Close(ctx)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.addresses.Admin, s.mu.addresses.Page = l.Addr().String(), page
	return nil
}

// adminListener opens the admin port, or takes the one of the service manager; nil when none is wanted.
func (s *System) adminListener() (net.Listener, error) {
	list := s.inherited("admin")
	if len(list) > 1 {
		return nil, errors.Join(fmt.Errorf("%w: %d sockets are called admin, want one", api.ErrInvalid, len(list)), closeAll(list))
	}
	if len(list) == 1 {
		return list[0], nil
	}
	if s.cfg.Admin == config.Off {
		return nil, nil
	}
	return listen("admin", s.cfg.Admin)
}

// hosts are the names under which the admin port may be asked for besides addresses.
func (s *System) hosts() []string {
	if h, err := os.Hostname(); err == nil {
		return append([]string{strings.ToLower(h)}, s.cfg.Hosts...)
	}
	return s.cfg.Hosts
}

// webNames are the names that the certificate of the admin port is made for.
func (s *System) webNames(a net.Addr) []string {
	names := append([]string{"localhost"}, s.hosts()...)
	if t, ok := a.(*net.TCPAddr); ok && !t.IP.IsUnspecified() {
		return append(names, t.IP.String())
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return names
	}
	for _, x := range all {
		if n, ok := x.(*net.IPNet); ok {
			names = append(names, n.IP.String())
		}
	}
	return names
}

func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
