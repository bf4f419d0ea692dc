package certs

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func authority(t *testing.T) (*Authority, string) {
	t.Helper()
	dir := t.TempDir()
	a, err := NewAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return a, dir
}

func issue(t *testing.T, a *Authority, role Role, name string) *Loaded {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	want, err := a.Issue(dir, role, name, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Load(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if l.Identity != want {
		t.Fatalf("loaded %v, issued %v", l.Identity, want)
	}
	return l
}

// handshake connects client to server and returns what each end says.
func handshake(client, server *tls.Config) (clientErr, serverErr error) {
	c, s := net.Pipe()
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		defer s.Close()
		conn := tls.Server(s, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte{1})
		}
		done <- err
	}()
	conn := tls.Client(c, client)
	clientErr = conn.Handshake()
	if clientErr == nil {
		_, clientErr = io.ReadFull(conn, make([]byte, 1)) // TLS 1.3: the server's verdict comes after the handshake
	}
	c.Close()
	return clientErr, <-done
}

func TestWhoTrustsWhom(t *testing.T) {
	ours, _ := authority(t)
	theirs, _ := authority(t)
	node, gateway := issue(t, ours, Node, "n1"), issue(t, ours, Gateway, "g1")
	for _, tc := range []struct {
		name           string
		client, server *Loaded
		ok             bool
	}{
		{"gateway to node", gateway, node, true},
		{"node to node", issue(t, ours, Node, "n2"), node, true},
		{"gateway posing as node", node, gateway, false},
		{"foreign gateway", issue(t, theirs, Gateway, "g1"), node, false},
		{"foreign node", gateway, issue(t, theirs, Node, "n1"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ce, se := handshake(tc.client.TLS(), tc.server.TLS())
			if (ce == nil && se == nil) != tc.ok {
				t.Errorf("client %v, server %v, want success %v", ce, se, tc.ok)
			}
		})
	}
	bare := gateway.TLS()
	bare.Certificates = nil
	if ce, se := handshake(bare, node.TLS()); ce == nil && se == nil {
		t.Error("a client without certificate was let in")
	}
}

func TestExpiry(t *testing.T) {
	a, _ := authority(t)
	dir := filepath.Join(t.TempDir(), "n")
	if _, err := a.Issue(dir, Node, "n", time.Now()); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir, time.Now().AddDate(3, 0, 0))
	if err == nil || !strings.Contains(err.Error(), "weir cert issue") {
		t.Errorf("expired certificate: %v, want advice", err)
	}
	if _, err := Load(dir, time.Now().Add(-2*clockSkew)); err == nil {
		t.Error("a certificate from the future was loaded")
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	a, dir := authority(t)
	if _, err := NewAuthority(dir, time.Now()); !errors.Is(err, os.ErrExist) {
		t.Errorf("second authority in one folder: %v", err)
	}
	node := filepath.Join(t.TempDir(), "n")
	if _, err := a.Issue(node, Node, "n", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue(node, Node, "n", time.Now()); !errors.Is(err, os.ErrExist) {
		t.Errorf("second identity in one folder: %v", err)
	}
	again, err := OpenAuthority(dir)
	if err != nil || again.Cluster != a.Cluster {
		t.Errorf("reopened authority of %v: %v", a.Cluster, err)
	}
	info, err := os.Stat(filepath.Join(node, certKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
}

func TestBadInput(t *testing.T) {
	a, dir := authority(t)
	for _, name := range []string{"", "A", "a/b", "-a", strings.Repeat("a", 64), "ü"} {
		if _, err := a.Issue(filepath.Join(t.TempDir(), "x"), Node, name, time.Now()); !errors.Is(err, ErrIdentity) {
			t.Errorf("name %q: %v, want %v", name, err, ErrIdentity)
		}
	}
	if _, err := a.Issue(filepath.Join(t.TempDir(), "x"), "root", "n", time.Now()); !errors.Is(err, ErrIdentity) {
		t.Errorf("role root: %v, want %v", err, ErrIdentity)
	}
	if _, err := Load(t.TempDir(), time.Now()); err == nil || !strings.Contains(err.Error(), "weir cluster init") {
		t.Errorf("empty folder: %v, want advice", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.crt"), []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Show(filepath.Join(dir, "bad.crt")); err == nil {
		t.Error("a file that is no certificate was shown")
	}
	infos, err := Show(filepath.Join(dir, caFile))
	if err != nil || len(infos) != 1 || !infos[0].Authority || len(infos[0].Fingerprint) != 64 {
		t.Errorf("show: %+v, %v", infos, err)
	}
}

func TestWeb(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	w, err := OpenWeb(dir, []string{"localhost", "127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Certificate.Leaf.VerifyHostname("localhost"), w.Certificate.Leaf.VerifyHostname("127.0.0.1")); err != nil {
		t.Error(err)
	}
	if again, err := OpenWeb(dir, nil, now); err != nil || again.Fingerprint != w.Fingerprint {
		t.Errorf("second opening: another certificate, %v", err)
	}
	if later, err := OpenWeb(dir, nil, now.AddDate(0, 0, leafDays-5)); err != nil || later.Fingerprint == w.Fingerprint {
		t.Errorf("near its end it was not made anew: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, webCertFile), []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenWeb(dir, nil, now); err == nil {
		t.Error("a damaged certificate was replaced without a word")
	}
}
