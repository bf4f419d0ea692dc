package access

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
)

func fullRules() Rules {
	return Rules{
		Initiators: []Entry{{Name: "iqn.2026-11.io:a", ReadOnly: true}}, Users: []User{{Name: "alice", Secret: longSecret}},
		Mutual: &User{Name: "target", Secret: longSecret + "!"}, TLS: []Entry{{Name: "web"}}, Hosts: []Entry{{Name: Unix}},
		Sharing: true,
	}
}

// What was set is there when the folder is opened again; no secret lies in it in clear.
func TestRulesAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "access")
	want, err := open(t, dir, 0).Set(t.Context(), web, "web", fullRules())
	if err != nil {
		t.Fatal(err)
	}
	got := open(t, dir, 0).Rules(web)
	if !reflect.DeepEqual(got, want) || got.Users[0].Secret != longSecret || got.Revision != 1 {
		t.Errorf("read %+v, want %+v", got, want)
	}
	for _, name := range []string{rulesFile, keyFile} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil || bytes.Contains(b, []byte(longSecret)) {
			t.Errorf("%s: %v, %q", name, err, b)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, mode %v, want 0600", name, err, info.Mode())
		}
	}
}

// Rules that can not be read keep the table shut: a volume is never opened to everybody by damage.
func TestDamage(t *testing.T) {
	for what, tc := range map[string]struct {
		file string
		do   func([]byte) []byte
		want error
	}{
		"rules cut":     {rulesFile, func(b []byte) []byte { return b[:len(b)/2] }, ErrDamaged},
		"rules empty":   {rulesFile, func([]byte) []byte { return nil }, ErrDamaged},
		"rules twice":   {rulesFile, func(b []byte) []byte { return append(b, b...) }, ErrDamaged},
		"other version": {rulesFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1) }, ErrDamaged},
		"unknown field": {rulesFile, func(b []byte) []byte { return bytes.Replace(b, []byte(`"tls"`), []byte(`"tsl"`), 1) }, ErrDamaged},
		"other volume": {rulesFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(web.String()), []byte(ident.UUID{9}.String()), 1)
		}, ErrKey},
		"other user":     {rulesFile, func(b []byte) []byte { return bytes.Replace(b, []byte("alice"), []byte("mallo"), 1) }, ErrKey},
		"key of another": {keyFile, func([]byte) []byte { return make([]byte, keySize) }, ErrKey},
		"key cut":        {keyFile, func(b []byte) []byte { return b[1:] }, ErrKey},
	} {
		dir := filepath.Join(t.TempDir(), "access")
		if _, err := open(t, dir, 0).Set(t.Context(), web, "web", fullRules()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, tc.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, tc.do(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", what, err, tc.want)
		}
	}
}

func TestKeyLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "access")
	if _, err := open(t, dir, 0).Set(t.Context(), web, "web", fullRules()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrKey) {
		t.Errorf("%v, want ErrKey", err)
	}
}

// FuzzDecode: any file is read or refused, and what is read can be written and read again.
func FuzzDecode(f *testing.F) {
	dir := f.TempDir()
	table, err := Open(filepath.Join(dir, "a"))
	if err != nil {
		f.Fatal(err)
	}
	if _, err := table.Set(f.Context(), web, "web", fullRules()); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "a", rulesFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1,"volumes":[{"id":"01020300-0000-0000-0000-000000000000","name":"v","hosts":[{"name":"unix"}],"revision":3}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := decode(b, table.key)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v, want ErrDamaged", err)
			}
			return
		}
		out := t.TempDir()
		if err := save(out, table.key, records); err != nil {
			t.Fatal(err)
		}
		again, err := load(out, table.key)
		if err != nil || len(again) != len(records) {
			t.Fatalf("read again: %d volumes, %v; want %d", len(again), err, len(records))
		}
	})
}
