package guest

import (
	"fmt"
	"io"
	"os"
	"path"
)

// archive writes the "newc" format of cpio that the kernel unpacks (kernel documentation, "initramfs buffer format").
type archive struct {
	w     io.Writer
	inode int
	dirs  map[string]bool
}

func newArchive(w io.Writer) *archive {
	return &archive{w: w, dirs: map[string]bool{".": true, "/": true}}
}

// Modes of struct stat.
const (
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeLink    = 0o120000
)

func (a *archive) entry(name string, mode int, data []byte) error {
	a.inode++
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	for _, b := range [][]byte{[]byte(head), data} {
		if _, err := a.w.Write(b); err != nil {
			return err
		}
		if _, err := a.w.Write(make([]byte, -len(b)&3)); err != nil {
			return err
		}
	}
	return nil
}

// dir adds name, without a leading slash, and the folders above it that are not there yet.
func (a *archive) dir(name string) error {
	if a.dirs[name] {
		return nil
	}
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	a.dirs[name] = true
	return a.entry(name, modeDir|0o755, nil)
}

// file adds a regular file.
func (a *archive) file(name string, mode int, data []byte) error {
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	return a.entry(name, modeRegular|mode, data)
}

// link adds a symbolic link.
func (a *archive) link(name, to string) error {
	if err := a.dir(path.Dir(name)); err != nil {
		return err
	}
	return a.entry(name, modeLink|0o777, []byte(to))
}

// copy adds a file of this machine at the same place.
func (a *archive) copy(from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return a.file(from[1:], 0o755, data)
}

func (a *archive) close() error { return a.entry("TRAILER!!!", 0, nil) }
