package lint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Table maps a room to the rooms and sub-packages that it may import.
type Table map[string][]string

var tableRow = regexp.MustCompile(`^//\t([a-z]+)\s{2,}(.+)$`)

// ParseTable reads the table below the heading "Allowed imports" of the root doc.go.
func ParseTable(doc []byte) (Table, error) {
	_, rest, found := strings.Cut(string(doc), "// # Allowed imports\n")
	if !found {
		return nil, fmt.Errorf("doc.go has no heading %q", "Allowed imports")
	}
	t := Table{}
	for line := range strings.Lines(rest) {
		m := tableRow.FindStringSubmatch(strings.TrimRight(line, "\n"))
		switch {
		case m == nil && len(t) > 0:
			return t, nil
		case m != nil:
			t[m[1]] = targets(m[2])
		}
	}
	return nil, fmt.Errorf("doc.go has no table below %q", "Allowed imports")
}

func targets(column string) []string {
	if column == "-" {
		return nil
	}
	return strings.Split(column, ", ")
}

// Allows reports whether a file of room may import package pkg, given relative to the module.
func (t Table) Allows(room, pkg string) bool {
	if under(pkg, room) {
		return true
	}
	for _, a := range t[room] {
		if a == "everything" || under(pkg, a) {
			return true
		}
	}
	return false
}

func under(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// innermost are the packages that name and hash things for every side; they import only each other. Their tests may
// import what the room may.
var innermost = []string{"intercept/ident", "intercept/leaf"}

// CheckImports returns a message for each import of f that t does not allow.
func CheckImports(t Table, f *File) []string {
	var bad []string
	for _, spec := range f.Go.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		pkg, inside := strings.CutPrefix(p, Module+"/")
		if !inside {
			continue
		}
		if !t.Allows(f.Room(), pkg) {
			bad = append(bad, fmt.Sprintf("%s: %s may not import %s (see the table in doc.go)", f.Path, f.Room(), pkg))
		}
		if isInnermost(f.Dir()) && !isInnermost(pkg) && !strings.HasSuffix(f.Path, "_test.go") {
			bad = append(bad, fmt.Sprintf("%s: %s may not import %s", f.Path, f.Dir(), pkg))
		}
	}
	return bad
}

func isInnermost(pkg string) bool {
	for _, p := range innermost {
		if pkg == p {
			return true
		}
	}
	return false
}
