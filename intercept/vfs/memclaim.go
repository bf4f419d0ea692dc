package vfs

import (
	"fmt"
	"io"
	"io/fs"
)

// Link gives the file at path a second name.
func (m *Mem) Link(path, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("link", name, 0, 0); err != nil {
		return err
	}
	switch {
	case m.names[name] != nil:
		return &fs.PathError{Op: "link", Path: name, Err: fs.ErrExist}
	case m.names[path] == nil:
		return &fs.PathError{Op: "link", Path: path, Err: fs.ErrNotExist}
	}
	m.names[name], m.links[name] = m.names[path], path
	return nil
}

// LinkedTo implements FS.
func (m *Mem) LinkedTo(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return "", nil
	}
	return m.links[name], nil
}

// Identity implements FS: there are only files.
func (m *Mem) Identity(string) (id string, device bool, err error) { return "", false, nil }

// Claim implements FS. Names that Link made are claimed as what they stand for.
func (m *Mem) Claim(name string) (File, error) {
	if path, err := m.LinkedTo(name); err != nil {
		return nil, err
	} else if path != "" {
		name = path
	}
	f, err := m.open(name, false)
	if err != nil {
		return nil, err
	}
	lock, err := m.Lock("claim of " + name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	return &memClaimed{memFile: f, lock: lock}, nil
}

// memClaimed is a file that gives its claim up when it is closed.
type memClaimed struct {
	*memFile
	lock io.Closer
}

func (f *memClaimed) Close() error { return f.lock.Close() }
