package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "4096": 4096, "1K": 1024, "512MiB": 512 << 20, "2G": 2 << 30, "2g": 2 << 30, "2GB": 2e9, "1.5M": 3 << 19,
		" 64 MiB ": 64 << 20, "1T": 1 << 40,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "-1", "1X", "G", "1.3", "1e30", "NaN", "Inf", "99999P", "1 2"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func TestParseVolumeAndDisk(t *testing.T) {
	v, err := ParseVolume("v:2G")
	if err != nil || v != (Volume{"v", 2 << 30, 512}) {
		t.Errorf("v:2G is %+v, %v", v, err)
	}
	if v, err = ParseVolume("db-1:512M:4096"); err != nil || v.BlockSize != 4096 {
		t.Errorf("db-1:512M:4096 is %+v, %v", v, err)
	}
	for _, in := range []string{"v", "v:", ":1G", "v:1000", "v:1G:1024", "V:1G", "a/b:1G", "v:1G:512:1"} {
		if v, err := ParseVolume(in); err == nil {
			t.Errorf("%q was read as %+v", in, v)
		}
	}
	d, err := ParseDisk("v:nbd:nbd://host:10809/x")
	if err != nil || d.Place != "nbd://host:10809/x" || d.Policy != "refuse" {
		t.Errorf("disk %+v, %v", d, err)
	}
	for _, in := range []string{"v", "v:raw", "v:raw:", "v:qcow:/x", ":raw:/x"} {
		if d, err := ParseDisk(in); err == nil {
			t.Errorf("%q was read as %+v", in, d)
		}
	}
}

func TestFile(t *testing.T) {
	c := Default()
	err := c.parse([]byte(`
data: /srv/weir
epoch: 250ms
epoch_bytes: 8MiB
replication: off
volumes:
  - {name: v, size: 2G}
disks:
  - volume: v
    kind: raw
    place: /srv/v.img
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckUp(); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Data, want.Epoch, want.EpochBytes, want.Replication = "/srv/weir", Duration(250*time.Millisecond), 8<<20, false
	want.Volumes = []Volume{{"v", 2 << 30, 512}}
	want.Disks = []Disk{{Volume: "v", Kind: "raw", Place: "/srv/v.img", Policy: "refuse"}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("read %+v\nwant %+v", c, want)
	}
}

func TestFileErrorsNameTheLine(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"data: /x\nepocs: 1s\n", "line 2"},
		{"data: /x\ndata: /y\n", "line 2"},
		{"data: /x\n\nepoch: soon\n", "line 3"},
		{"data: /x\nepoch_bytes: [1]\n", "line 2"},
		{"data: /x\nreplication: maybe\n", "line 2"},
		{"data: /x\nvolumes:\n  - name: v\n    sise: 1G\n", "line 4"},
		{"data: /x\nvolumes:\n  - name: v\n    size: big\n", "line 4"},
		{"data: [\n", "line"},
		{"data: /x\n---\ndata: /y\n", "more than one"},
	} {
		c := Default()
		err := c.parse([]byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q in it", tc.text, err, tc.want)
		}
		if !reflect.DeepEqual(c, Default()) {
			t.Errorf("%q: a refused file changed the configuration", tc.text)
		}
	}
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, make([]byte, fileBytesMax+1), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	if err := c.ReadFile(path); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("a large file: %v", err)
	}
}

func TestContradictions(t *testing.T) {
	for name, tc := range map[string]struct {
		set   func(*Config)
		check func(*Config) error
	}{
		"no data":             {func(c *Config) { c.Data = "" }, (*Config).CheckUp},
		"bad address":         {func(c *Config) { c.NBD = "nowhere" }, (*Config).CheckUp},
		"odd TLS":             {func(c *Config) { c.AdminTLS = "perhaps" }, (*Config).CheckUp},
		"short epoch":         {func(c *Config) { c.Epoch = 1 }, (*Config).CheckUp},
		"small log":           {func(c *Config) { c.LogBudget = 1 << 20 }, (*Config).CheckUp},
		"up with providers":   {func(c *Config) { c.Providers = []string{"a:1"} }, (*Config).CheckUp},
		"same volume twice":   {func(c *Config) { c.Volumes = []Volume{{"v", 4096, 0}, {"v", 4096, 0}} }, (*Config).CheckUp},
		"gateway alone":       {func(*Config) {}, (*Config).CheckGateway},
		"bootstrap and join":  {func(c *Config) { c.Bootstrap, c.Join = true, "a:1" }, (*Config).CheckProvider},
		"provider off":        {func(c *Config) { c.Listen = Off }, (*Config).CheckProvider},
		"provider with disks": {func(c *Config) { c.Disks = []Disk{{Volume: "v", Kind: "raw", Place: "/x"}} }, (*Config).CheckProvider},
	} {
		c := Default()
		c.Data = "/x"
		tc.set(&c)
		if tc.check(&c) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("data: /x\nvolumes: [{name: v, size: 1G}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Default()
		if c.parse(b) == nil {
			_ = c.CheckUp()
		}
	})
}

func FuzzParseSize(f *testing.F) {
	f.Add("2G")
	f.Add("1.5MiB")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseSize(s); err == nil && v < 0 {
			t.Errorf("%q is %d", s, v)
		}
	})
}
