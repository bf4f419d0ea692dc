package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Category names this module's writes in the statistics of vfs.
const Category vfs.DiskWriteCategory = "weir-store"

// SyncDir makes the entries of dir durable.
func SyncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s to sync it: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// MkdirAll creates dir and its missing parents, all durable on return.
func MkdirAll(fsys vfs.FS, dir string) error {
	var missing []string
	for d := dir; ; d = fsys.PathDir(d) {
		_, err := fsys.Stat(d)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("directory %s: %w", d, err)
		}
		missing = append(missing, d)
		if fsys.PathDir(d) == d {
			break
		}
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	for _, d := range missing {
		if parent := fsys.PathDir(d); parent != d {
			if err := SyncDir(fsys, parent); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteFile stores b as the file name by way of the file temp: after a crash name holds either what it held before or
// all of b. On return without error b is on stable storage. name and temp lie in the same file system; the directory
// of name is synced. b is not changed or kept.
func WriteFile(fsys vfs.FS, name, temp string, b []byte) error {
	if err := writeTemp(fsys, temp, b); err != nil {
		return errors.Join(err, Remove(fsys, temp))
	}
	if err := fsys.Rename(temp, name); err != nil {
		return errors.Join(fmt.Errorf("rename %s to %s: %w", temp, name, err), Remove(fsys, temp))
	}
	return SyncDir(fsys, fsys.PathDir(name))
}

func writeTemp(fsys vfs.FS, temp string, b []byte) error {
	if err := Remove(fsys, temp); err != nil {
		return err
	}
	f, err := fsys.OpenReadWrite(temp, Category)
	if err != nil {
		return fmt.Errorf("create %s: %w", temp, err)
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.SyncData()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", temp, err)
	}
	return nil
}

// Remove removes the file name; one that is not there is not an error. Not durable on return.
func Remove(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// ReadFile reads the file name, refusing one of more than limit bytes.
func ReadFile(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), limit)
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
