package fstest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// FileView is a file as an fs.View.
type FileView struct{ File *os.File }

// ReadAt implements fs.View: beyond the end there are zeroes.
func (v FileView) ReadAt(p []byte, off int64) error {
	n, err := v.File.ReadAt(p, off)
	if n < len(p) {
		clear(p[n:])
		err = nil
	}
	return err
}

// Open opens an image for reading, until the test ends.
func Open(t testing.TB, path string) FileView {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return FileView{f}
}

// Empty makes a sparse file of size bytes and returns its path.
func Empty(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// Tool runs a program of a Debian package and returns what it prints; without the program the test is skipped.
func Tool(t testing.TB, debian, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed: install the Debian package %s", name, debian)
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	} else if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
