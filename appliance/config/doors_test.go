package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseListeners(t *testing.T) {
	for in, want := range map[string][]Listener{
		"off":                          nil,
		"127.0.0.1:0":                  {{"tcp", "127.0.0.1:0"}},
		"127.0.0.1:0,127.0.0.1:0":      {{"tcp", "127.0.0.1:0"}, {"tcp", "127.0.0.1:0"}},
		"[::1]:10809,unix:/run/weir/s": {{"tcp", "[::1]:10809"}, {"unix", "/run/weir/s"}},
		"unix:/run//weir/../s,:10809":  {{"unix", "/run/s"}, {"tcp", ":10809"}},
	} {
		if got, err := ParseListeners(in); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "off,127.0.0.1:1", "127.0.0.1", "::1:10809", "unix:", "unix:relative", "a:1,", "a:1,a:1", "a:",
		"unix:/" + strings.Repeat("x", 107), strings.Repeat("a:0,", 16) + "a:0"} {
		if got, err := ParseListeners(in); err == nil {
			t.Errorf("%q is read as %v", in, got)
		}
	}
}

func TestDoorsRefused(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"TLS mode":            func(c *Config) { c.NBDTLS = "yes" },
		"no TLS mode":         func(c *Config) { c.NBDTLS = "" },
		"certificate alone":   func(c *Config) { c.NBDTLS, c.NBDTLSCert = "require", "/c" },
		"key alone":           func(c *Config) { c.NBDTLS, c.NBDTLSKey = "require", "/k" },
		"authority and off":   func(c *Config) { c.NBDTLSClients = "/ca" },
		"portal without port": func(c *Config) { c.ISCSIPortals = "192.0.2.1" },
		"portal at port 0":    func(c *Config) { c.ISCSIPortals = "192.0.2.1:0" },
		"portal of any":       func(c *Config) { c.ISCSIPortals = ":3260" },
		"iSCSI at a socket":   func(c *Config) { c.ISCSI = "unix:/run/s" },
		"NBD at nothing":      func(c *Config) { c.NBD = "" },
	} {
		c := Default()
		c.Data = "/d"
		if err := c.CheckUp(); err != nil {
			t.Fatal(err)
		}
		if change(&c); c.CheckUp() == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}

func TestDoorsInFile(t *testing.T) {
	c := Default()
	if err := c.parse([]byte("data: /d\nnbd: unix:/run/s\nnbd_tls: require\niscsi_portals: 192.0.2.1:3260\n")); err != nil {
		t.Fatal(err)
	}
	if c.NBDTLS != "require" || c.ISCSIPortals != "192.0.2.1:3260" || c.NBD != "unix:/run/s" {
		t.Errorf("%+v", c.Doors)
	}
	if err := c.parse([]byte("nbd_tsl: require\n")); err == nil {
		t.Error("an unknown key is accepted")
	}
}
