package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is the path of the module that is checked.
const Module = "github.com/weirstor/weir"

// File is one source file of the tree.
type File struct {
	Path      string // slash-separated, relative to the root
	Text      []byte
	Generated bool
	Go        *ast.File // nil unless the file is Go source
}

// Room returns the top-level folder of f, "" for a file of the root.
func (f *File) Room() string {
	room, _, found := strings.Cut(f.Path, "/")
	if !found {
		return ""
	}
	return room
}

// Dir returns the folder of f, "." for the root.
func (f *File) Dir() string { return path.Dir(f.Path) }

// Load reads the text files of the tree at root that the rules speak about. Folders with a go.mod of their own, built
// files and test data are left out.
func Load(root string) ([]*File, error) {
	var files []*File
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipDir(p, rel, d.Name())
		}
		if !d.Type().IsRegular() || !checked(d.Name()) {
			return nil
		}
		f, err := load(p, filepath.ToSlash(rel))
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	return files, err
}

func skipDir(p, rel, name string) error {
	if rel == "." {
		return nil
	}
	if name == ".git" || name == "bin" || name == "build" || name == "testdata" || name == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func checked(name string) bool {
	return name == "Makefile" || slices.Contains([]string{".go", ".md", ".sh", ".proto"}, path.Ext(name))
}

func load(p, rel string) (*File, error) {
	text, err := os.ReadFile(p)
	if err != nil {
		return nil, err
	}
	f := &File{Path: rel, Text: text}
	if path.Ext(rel) != ".go" {
		return f, nil
	}
	f.Go, err = parser.ParseFile(token.NewFileSet(), rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err == nil {
		f.Generated = ast.IsGenerated(f.Go)
	}
	return f, err
}
