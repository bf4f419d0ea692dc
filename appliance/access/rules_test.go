package access

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const longSecret = "a secret of the test"

func TestNormalize(t *testing.T) {
	r := Rules{
		Initiators: []Entry{{Name: "IQN.1993-08.org.debian:01:ABC"}, {Name: "eui.0123456789abcdef"}, {Name: "iqn.2008-11.org.linux-kvm:my_vm"}},
		Hosts:      []Entry{{Name: "10.1.2.3/16"}, {Name: "::ffff:10.0.0.1"}, {Name: "2001:db8::1"}, {Name: Unix, ReadOnly: true}},
		Users:      []User{{Name: "alice", Secret: longSecret}},
		Mutual:     &User{Name: "target", Secret: longSecret + "!"},
		TLS:        []Entry{{Name: "web.example.org"}},
	}
	if err := r.normalize(); err != nil {
		t.Fatal(err)
	}
	if got := r.Initiators[0].Name; got != "iqn.1993-08.org.debian:01:abc" {
		t.Error(got)
	}
	want := []Entry{{Name: "10.1.0.0/16"}, {Name: "10.0.0.1"}, {Name: "2001:db8::1"}, {Name: Unix, ReadOnly: true}}
	if !reflect.DeepEqual(r.Hosts, want) {
		t.Errorf("hosts %+v, want %+v", r.Hosts, want)
	}
}

func TestRulesRefused(t *testing.T) {
	user := func(name string, s Secret) []User { return []User{{Name: name, Secret: s}} }
	for what, r := range map[string]Rules{
		"empty initiator":     {Initiators: []Entry{{}}},
		"no iSCSI name":       {Initiators: []Entry{{Name: "host1"}}},
		"initiator and comma": {Initiators: []Entry{{Name: "iqn.2026-11.io:a,b"}}},
		"long initiator":      {Initiators: []Entry{{Name: "iqn.2026-11.io:" + strings.Repeat("a", 223)}}},
		"initiator twice":     {Initiators: []Entry{{Name: "iqn.2026-11.io:a"}, {Name: "IQN.2026-11.io:A"}}},
		"host name":           {Hosts: []Entry{{Name: "web.example.org"}}},
		"bad network":         {Hosts: []Entry{{Name: "10.0.0.0/33"}}},
		"zone":                {Hosts: []Entry{{Name: "fe80::1%eth0"}}},
		"TLS control":         {TLS: []Entry{{Name: "a\nb"}}},
		"TLS comma":           {TLS: []Entry{{Name: "a,b"}}},
		"user without name":   {Users: user("", longSecret)},
		"user with space":     {Users: user("a b", longSecret)},
		"short secret":        {Users: user("a", "elevenchars")},
		"long secret":         {Users: user("a", Secret(strings.Repeat("x", 256)))},
		"secret of bytes":     {Users: user("a", "twelve bytes\x00and more")},
		"user twice":          {Users: append(user("a", longSecret), user("a", longSecret)...)},
		"mutual alone":        {Mutual: &User{Name: "t", Secret: longSecret}},
		"same secret":         {Users: user("a", longSecret), Mutual: &User{Name: "t", Secret: longSecret}},
		"too many":            {Hosts: make([]Entry, entriesMax+1)},
	} {
		if err := r.normalize(); !errors.Is(err, ErrRule) {
			t.Errorf("%s: %v, want ErrRule", what, err)
		} else if strings.Contains(err.Error(), longSecret) || strings.Contains(err.Error(), "elevenchars") {
			t.Errorf("%s: the error tells the secret", what)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	r := Rules{Users: []User{{Name: "a", Secret: longSecret}}, Mutual: &User{Name: "t", Secret: longSecret}}
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%+v", r), fmt.Sprintf("%#v", r), fmt.Sprintf("%x", r.Users[0].Secret), fmt.Sprintf("%q", r.Users[0].Secret)} {
		if strings.Contains(s, longSecret) {
			t.Errorf("printed: %s", s)
		}
	}
}

// Who gets in, by rules and client: "rw", "ro" or "no".
func TestCheck(t *testing.T) {
	const iqn = "iqn.2026-11.io:one"
	users := []User{{Name: "alice", Secret: longSecret}, {Name: "bob", Secret: longSecret, ReadOnly: true}}
	rules := map[string]Rules{
		"open":       {},
		"reading":    {ReadOnly: true},
		"initiators": {Initiators: []Entry{{Name: iqn}, {Name: "iqn.2026-11.io:two", ReadOnly: true}}},
		"users":      {Users: users},
		"both":       {Initiators: []Entry{{Name: iqn}}, Users: users},
		"tls":        {TLS: []Entry{{Name: "web"}, {Name: "backup", ReadOnly: true}}},
		"hosts":      {Hosts: []Entry{{Name: "10.0.0.0/8"}, {Name: "10.9.0.0/16", ReadOnly: true}, {Name: Unix}}},
		"host+tls":   {Hosts: []Entry{{Name: "10.0.0.1"}}, TLS: []Entry{{Name: "web"}}},
	}
	for _, tc := range []struct {
		rules  string
		client Client
		want   string
	}{
		{"open", nbdAt("10.0.0.1"), "rw"},
		{"open", initiatorAt("10.0.0.1", iqn, ""), "rw"},
		{"open", atSocket(7), "rw"},
		{"reading", nbdAt("10.0.0.1"), "ro"},
		{"initiators", initiatorAt("10.0.0.1", "IQN.2026-11.IO:ONE", ""), "rw"},
		{"initiators", initiatorAt("10.0.0.1", "iqn.2026-11.io:two", ""), "ro"},
		{"initiators", initiatorAt("10.0.0.1", "iqn.2026-11.io:three", ""), "no"},
		{"initiators", nbdAt("10.0.0.1"), "no"}, // a door without rules is shut
		{"initiators", atSocket(7), "no"},
		{"users", initiatorAt("10.0.0.1", iqn, "alice"), "rw"},
		{"users", initiatorAt("10.0.0.1", iqn, "bob"), "ro"},
		{"users", initiatorAt("10.0.0.1", iqn, ""), "no"},
		{"users", nbdAt("10.0.0.1", "alice"), "no"},
		{"both", initiatorAt("10.0.0.1", iqn, "alice"), "rw"},
		{"both", initiatorAt("10.0.0.1", "iqn.2026-11.io:two", "alice"), "no"},
		{"tls", nbdAt("10.0.0.1", "web", "web.example.org"), "rw"},
		{"tls", nbdAt("10.0.0.1", "x", "backup"), "ro"},
		{"tls", nbdAt("10.0.0.1", "backup", "web"), "rw"},
		{"tls", nbdAt("10.0.0.1", "other"), "no"},
		{"tls", nbdAt("10.0.0.1"), "no"},
		{"tls", initiatorAt("10.0.0.1", iqn, ""), "no"},
		{"hosts", nbdAt("10.0.0.1"), "rw"},
		{"hosts", nbdAt("10.9.0.1"), "ro"}, // the narrower network counts
		{"hosts", nbdAt("::ffff:10.9.0.1"), "ro"},
		{"hosts", nbdAt("192.0.2.1"), "no"},
		{"hosts", atSocket(7), "rw"},
		{"hosts", initiatorAt("10.0.0.1", iqn, ""), "rw"},
		{"host+tls", nbdAt("10.0.0.1", "web"), "rw"},
		{"host+tls", nbdAt("10.0.0.2", "web"), "no"},
		{"host+tls", nbdAt("10.0.0.1"), "no"},
		{"host+tls", atSocket(7), "no"},
	} {
		r := rules[tc.rules]
		ro, err := r.check("web", tc.client)
		got := map[bool]string{false: "rw", true: "ro"}[ro]
		var refused *Refusal
		if errors.As(err, &refused) {
			got = "no"
		}
		if got != tc.want {
			t.Errorf("rules %q, %v: %s, %v; want %s", tc.rules, tc.client, got, err, tc.want)
		}
	}
}
