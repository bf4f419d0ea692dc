package lint

import (
	"bytes"
	"go/format"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func tree(t *testing.T) []*File {
	t.Helper()
	files, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func table(t *testing.T) Table {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join(root, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := ParseTable(doc)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestTable(t *testing.T) {
	table := table(t)
	for _, c := range []struct {
		room, pkg string
		want      bool
	}{
		{"target", "target/memory", true},
		{"target", "intercept", false},
		{"target", "targets", false},
		{"intercept", "target", true},
		{"intercept", "replicate", false},
		{"raftstore", "intercept/leaf", true},
		{"raftstore", "intercept", false},
		{"admin", "appliance", false},
		{"cmd", "admin/client", true},
		{"cmd", "raftstore", false},
		{"tests", "raftstore/meta", true},
		{"stranger", "target", false},
	} {
		if got := table.Allows(c.room, c.pkg); got != c.want {
			t.Errorf("%s imports %s: allowed %v, want %v", c.room, c.pkg, got, c.want)
		}
	}
}

func TestImports(t *testing.T) {
	table := table(t)
	for _, f := range tree(t) {
		if f.Go == nil {
			continue
		}
		if _, known := table[f.Room()]; !known && f.Room() != "" {
			t.Errorf("%s: room %q is not in the table of doc.go", f.Path, f.Room())
		}
		for _, msg := range CheckImports(table, f) {
			t.Error(msg)
		}
	}
}

func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range tree(t) {
		if f.Go == nil {
			continue
		}
		documented[f.Dir()] = documented[f.Dir()] || path.Base(f.Path) == "doc.go" && f.Go.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no doc.go with a package comment directly above the package clause", dir)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, f := range tree(t) {
		if f.Go == nil {
			continue
		}
		want, err := format.Source(f.Text)
		if err != nil {
			t.Errorf("%s: %v", f.Path, err)
		} else if !bytes.Equal(f.Text, want) {
			t.Errorf("%s: not formatted; run gofmt", f.Path)
		}
	}
}

// unfinished matches what marks work that was left for later. The words are written in pieces so that this file does
// not match itself. A loop over a variable called now is no such mark.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(?i:\b(place` + `holder|simp` +
	`lified|not imple` + `mented)\b|\bfor` + ` now\b(?: ?[^ :]|$))`)

func TestNothingLeftForLater(t *testing.T) {
	for _, f := range tree(t) {
		if f.Generated {
			continue
		}
		for i, line := range bytes.Split(f.Text, []byte("\n")) {
			if w := unfinished.Find(line); w != nil {
				t.Errorf("%s:%d: %q", f.Path, i+1, w)
			}
		}
	}
}

func TestUnfinished(t *testing.T) {
	for text, want := range map[string]bool{
		"// good enough for" + " now": true, "for" + " now, at least": true, "For" + " Now it works": true, "// TO" + "DO: x": true,
		"for now := range x {": false, "wait for nowhere": false, "mastodon": false,
	} {
		if got := unfinished.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	for _, f := range tree(t) {
		if path.Ext(f.Path) != ".md" {
			continue
		}
		for _, m := range link.FindAllSubmatch(f.Text, -1) {
			u, err := url.Parse(string(m[1]))
			if err != nil {
				t.Errorf("%s: %v", f.Path, err)
			} else if u.Scheme == "" && u.Path != "" {
				if _, err := os.Stat(filepath.Join(root, f.Dir(), u.Path)); err != nil {
					t.Errorf("%s: broken link %s", f.Path, m[1])
				}
			}
		}
	}
}

func TestPackageListIsSorted(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "tests/packages.txt"))
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(text))
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("tests/packages.txt is not sorted or names a package twice")
	}
}
