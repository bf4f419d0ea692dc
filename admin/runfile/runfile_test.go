package runfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstor/weir/admin/api"
)

func announce(t *testing.T, data string, d Daemon) *Announcement {
	t.Helper()
	a, err := Announce(data, d)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestFound(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	data := t.TempDir()
	want := Daemon{Addresses: api.Addresses{Admin: "127.0.0.1:8480", NBD: "127.0.0.1:10809"}, Token: NewToken(), Certificate: []byte("PEM")}
	a := announce(t, data, want)
	for name, find := range map[string]func() (Daemon, error){
		"by folder":  func() (Daemon, error) { return InFolder(data) },
		"by address": func() (Daemon, error) { return At("127.0.0.1:8480") },
	} {
		got, err := find()
		if err != nil || got.Addresses != want.Addresses || got.Token != want.Token || string(got.Certificate) != "PEM" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	err := filepath.Walk(data, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	a.Withdraw()
	if _, err := InFolder(data); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after withdrawal: %v", err)
	}
	if _, err := At("127.0.0.1:8480"); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("after withdrawal: %v", err)
	}
}

// A pointer that a killed daemon has left must not lead to the daemon that uses the folder now at another address.
func TestStalePointer(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	data := t.TempDir()
	announce(t, data, Daemon{Addresses: api.Addresses{Admin: "127.0.0.1:1000"}, Token: "old"})
	announce(t, data, Daemon{Addresses: api.Addresses{Admin: "127.0.0.1:2000"}, Token: "new"})
	if d, err := At("127.0.0.1:1000"); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := At("127.0.0.1:2000"); err != nil || d.Token != "new" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestCertificateOfAnEarlierStartGoes(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	data := t.TempDir()
	announce(t, data, Daemon{Token: "a", Certificate: []byte("PEM")})
	announce(t, data, Daemon{Token: "b"})
	if d, err := InFolder(data); err != nil || len(d.Certificate) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDamagedFiles(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	data := t.TempDir()
	announce(t, data, Daemon{Addresses: api.Addresses{Admin: "127.0.0.1:1"}, Token: "a"})
	token := filepath.Join(data, runFolder, tokenName)
	if err := os.WriteFile(token, []byte(strings.Repeat("x", tokenBytesMax+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := InFolder(data); err == nil {
		t.Error("a token file of any length is read")
	}
	if err := os.WriteFile(filepath.Join(data, runFolder, addressesName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := InFolder(data); err == nil {
		t.Error("damaged addresses are read")
	}
}
