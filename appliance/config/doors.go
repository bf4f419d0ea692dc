package config

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
)

// Doors is how clients reach volumes, beside the addresses.
type Doors struct {
	NBDTLS        string `yaml:"nbd_tls"`         // off, allow or require
	NBDTLSCert    string `yaml:"nbd_tls_cert"`    // PEM file with the certificate of the door and what leads to its authority
	NBDTLSKey     string `yaml:"nbd_tls_key"`     // PEM file
	NBDTLSClients string `yaml:"nbd_tls_clients"` // PEM file with authorities; clients have to show a certificate of one of them
	ISCSIPortals  string `yaml:"iscsi_portals"`   // HOST:PORT,… that discovery tells instead of where the door listens
}

// TLSModes are the values of Doors.NBDTLS.
var TLSModes = []string{"off", "allow", "require"}

// Listener is one place where a door listens.
type Listener struct {
	Network string // "tcp" or "unix"
	Address string
}

func (l Listener) String() string {
	if l.Network == "unix" {
		return unixPrefix + l.Address
	}
	return l.Address
}

const (
	unixPrefix   = "unix:"
	unixPathMax  = 107 // bytes; unix(7)
	listenersMax = 16
)

// ParseListeners reads the addresses of a door: off, or a list of HOST:PORT and unix:/PATH separated by commas.
func ParseListeners(s string) ([]Listener, error) {
	if s == Off {
		return nil, nil
	}
	var out []Listener
	for part := range strings.SplitSeq(s, ",") {
		l, err := parseListener(part)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, l) && !strings.HasSuffix(l.Address, ":0") {
			return nil, fmt.Errorf("%s is there twice", l)
		}
		out = append(out, l)
	}
	if len(out) > listenersMax {
		return nil, fmt.Errorf("%d addresses, at most %d", len(out), listenersMax)
	}
	return out, nil
}

func parseListener(s string) (Listener, error) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if !filepath.IsAbs(path) || len(path) > unixPathMax {
			return Listener{}, fmt.Errorf("%q: want unix: and an absolute path of at most %d bytes", s, unixPathMax)
		}
		return Listener{"unix", filepath.Clean(path)}, nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is neither HOST:PORT (an IPv6 address in brackets) nor unix:/PATH: %w", s, err)
	}
	if port == "" {
		return Listener{}, fmt.Errorf("%q has no port; 0 takes a free one", s)
	}
	return Listener{"tcp", s}, nil
}

// checkDoors looks at all that concerns the doors.
func (c *Config) checkDoors() error {
	var errs []error
	for name, addr := range map[string]string{"nbd": c.NBD, "iscsi": c.ISCSI} {
		list, err := ParseListeners(addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		if name == "iscsi" && slices.ContainsFunc(list, func(l Listener) bool { return l.Network == "unix" }) {
			errs = append(errs, errors.New("iscsi: initiators do not speak over Unix sockets"))
		}
	}
	return errors.Join(append(errs, c.Doors.check())...)
}

func (d *Doors) check() error {
	var errs []error
	if !slices.Contains(TLSModes, d.NBDTLS) {
		errs = append(errs, fmt.Errorf("NBD TLS is %q, want off, allow or require", d.NBDTLS))
	}
	if (d.NBDTLSCert == "") != (d.NBDTLSKey == "") {
		errs = append(errs, errors.New("NBD TLS: certificate and key go together: give both files, or neither for one that Weir makes"))
	}
	if d.NBDTLS == Off && d.NBDTLSCert+d.NBDTLSClients != "" {
		errs = append(errs, errors.New("NBD TLS is off and certificates for it are named: give --nbd-tls require, or allow"))
	}
	if d.ISCSIPortals == "" {
		return errors.Join(errs...)
	}
	for part := range strings.SplitSeq(d.ISCSIPortals, ",") {
		host, port, err := net.SplitHostPort(part)
		if err != nil || host == "" || port == "" || port == "0" {
			errs = append(errs, fmt.Errorf("iSCSI portal %q: want HOST:PORT as initiators reach it", part))
		}
	}
	return errors.Join(errs...)
}
