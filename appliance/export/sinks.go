package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// File is a raw image that is sparse where the volume is zero. It appears under its name when it is complete.
type File struct {
	name string
	f    *os.File
}

// NewFile begins an image called name; a file of that name is refused.
func NewFile(name string) (*File, error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("%s: %w", name, os.ErrExist)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".export-*")
	if err != nil {
		return nil, err
	}
	return &File{name: name, f: f}, nil
}

// WriteAt implements Sink.
func (s *File) WriteAt(p []byte, off int64) (int, error) { return s.f.WriteAt(p, off) }

// Finish implements Sink.
func (s *File) Finish(size int64) error {
	if err := s.sync(size); err != nil {
		return err
	}
	if err := os.Link(s.f.Name(), s.name); err != nil { // unlike Rename, this does not replace what came meanwhile
		return err
	}
	return syncDir(filepath.Dir(s.name))
}

func (s *File) sync(size int64) error {
	if err := s.f.Truncate(size); err != nil {
		return err
	}
	return s.f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close removes what is not finished.
func (s *File) Close() error { return errors.Join(s.f.Close(), os.Remove(s.f.Name())) }

// QCOW2 is an image in QEMU's format: a raw one that qemu-img converts.
type QCOW2 struct {
	*File
	ctx  context.Context
	tool string
}

// ErrNoTool says that qemu-img is not installed.
var ErrNoTool = errors.New("qemu-img is not installed (Debian: qemu-utils)")

// NewQCOW2 begins an image called name. The raw image that it is made from needs space beside it meanwhile.
func NewQCOW2(ctx context.Context, name string) (*QCOW2, error) {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		return nil, ErrNoTool
	}
	f, err := NewFile(name)
	if err != nil {
		return nil, err
	}
	return &QCOW2{File: f, ctx: ctx, tool: tool}, nil
}

// Finish implements Sink.
func (s *QCOW2) Finish(size int64) (err error) {
	if err := s.f.Truncate(size); err != nil {
		return err
	}
	temp := s.f.Name() + ".qcow2"
	defer func() { err = errors.Join(err, os.Remove(temp)) }()
	out, err := exec.CommandContext(s.ctx, s.tool, "convert", "-f", "raw", "-O", "qcow2", s.f.Name(), temp).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img: %w: %s", err, strings.TrimSpace(string(out)))
	}
	f, err := os.Open(temp)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(temp, s.name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.name))
}

// Pipe writes the volume from its first byte to its last.
type Pipe struct {
	w  io.Writer
	at int64
}

// NewPipe returns a sink that writes to w. Whoever reads it learns by the exit code of the command whether the content was
// right.
func NewPipe(w io.Writer) *Pipe { return &Pipe{w: w} }

var zeroes [1 << 20]byte

// WriteAt implements Sink.
func (s *Pipe) WriteAt(p []byte, off int64) (int, error) {
	if err := s.pad(off); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	s.at += int64(n)
	return n, err
}

func (s *Pipe) pad(to int64) error {
	for s.at < to {
		n, err := s.w.Write(zeroes[:min(to-s.at, int64(len(zeroes)))])
		s.at += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// Finish implements Sink.
func (s *Pipe) Finish(size int64) error { return s.pad(size) }

// Close implements io.Closer.
func (s *Pipe) Close() error { return nil }
