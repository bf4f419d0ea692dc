package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
)

// applyFlags parses the flags of weir volume access set and lays them over a.
func applyFlags(t *testing.T, a *api.Access, stdin string, args ...string) error {
	t.Helper()
	f := &accessFlags{stdin: strings.NewReader(stdin)}
	c := &cobra.Command{}
	p := c.Flags()
	p.StringArrayVar(&f.hosts, "host", nil, "")
	p.StringArrayVar(&f.initiators, "initiator", nil, "")
	p.StringArrayVar(&f.users, "user", nil, "")
	p.StringArrayVar(&f.tls, "tls", nil, "")
	p.StringVar(&f.mutual, "mutual", "", "")
	p.Var(&f.readOnly, "read-only", "")
	p.Var(&f.sharing, "sharing", "")
	if err := p.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.apply(c, a)
}

// A flag replaces its kind and leaves the others; secrets come from files and standard input, one line.
func TestAccessFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from a file 123\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := api.Access{Hosts: []api.AccessEntry{{Name: "10.0.0.1"}}, TLS: []api.AccessEntry{{Name: "web"}}, ReadOnly: true}
	err := applyFlags(t, &a, "from stdin 1234\n", "--tls", "", "--initiator", "iqn.2026-11.io:a,ro", "--user", "alice=-", "--user", "bob,ro="+file,
		"--user", "carol", "--read-only", "off", "--mutual", "gw="+file)
	if err != nil {
		t.Fatal(err)
	}
	want := api.Access{Hosts: []api.AccessEntry{{Name: "10.0.0.1"}}, TLS: []api.AccessEntry{},
		Initiators: []api.AccessEntry{{Name: "iqn.2026-11.io:a", ReadOnly: true}},
		Users:      []api.AccessUser{{Name: "alice", Secret: "from stdin 1234"}, {Name: "bob", ReadOnly: true, Secret: "from a file 123"}, {Name: "carol"}},
		Mutual:     &api.AccessUser{Name: "gw", Secret: "from a file 123"}}
	if !reflect.DeepEqual(a, want) {
		t.Error("flags are not read as they should be")
	}
	for what, args := range map[string][]string{
		"no file": {"--user", "alice=" + file + ".not"}, "stdin twice": {"--user", "a=-", "--user", "b=-"}, "empty": {"--user", "a=/dev/null"},
	} {
		if err := applyFlags(t, &api.Access{}, "a secret of stdin", args...); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := applyFlags(t, &api.Access{}, "two\nlines\n", "--user", "a=-"); exitCode(err) != exitUsage {
		t.Errorf("two lines: %v", err)
	}
}
