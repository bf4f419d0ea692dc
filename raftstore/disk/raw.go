package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weirstor/weir/intercept/leaf"
	"golang.org/x/sys/unix"
)

// OpenBacking opens raw files, block devices and exports of NBD servers.
func OpenBacking(s Spec) (Backing, bool, error) {
	switch s.Kind {
	case Raw:
		return openRaw(s.Place)
	case Block:
		return openBlock(s.Place)
	case NBD:
		return openNBD(s.Place)
	}
	return nil, false, fmt.Errorf("%w: kind %q is not known", ErrSpec, s.Kind)
}

// file is a raw file or a block device. Safe for concurrent use.
type file struct {
	f     *os.File
	block bool // a device: its size is given, and holes can not be asked for
}

func openRaw(path string) (Backing, bool, error) {
	_, err := os.Lstat(path)
	created := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("open disk: %w", err)
	}
	b := &file{f: f}
	if err := b.lock(path, func(m fs.FileMode) bool { return m.IsRegular() }); err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	if created {
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return nil, false, errors.Join(err, f.Close())
		}
	}
	return b, created, nil
}

func openBlock(path string) (Backing, bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0) // O_EXCL: not while it is mounted
	if errors.Is(err, unix.EBUSY) {
		return nil, false, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if err != nil {
		return nil, false, fmt.Errorf("open disk: %w", err)
	}
	b := &file{f: f, block: true}
	isBlock := func(m fs.FileMode) bool { return m&fs.ModeDevice != 0 && m&fs.ModeCharDevice == 0 }
	if err := b.lock(path, isBlock); err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return b, false, nil
}

// lock takes the file for this process and checks that it is of the right type.
func (b *file) lock(path string, fits func(fs.FileMode) bool) error {
	if err := unix.Flock(int(b.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%w: %s is locked", ErrBusy, path)
		}
		return fmt.Errorf("lock disk %s: %w", path, err)
	}
	info, err := b.f.Stat()
	if err != nil {
		return fmt.Errorf("disk %s: %w", path, err)
	}
	if !fits(info.Mode()) {
		return fmt.Errorf("%w: %s is a %v", ErrSpec, path, info.Mode().Type())
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the folder of a new disk: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync the folder of a new disk: %w", err)
	}
	return nil
}

func (b *file) ReadAt(p []byte, off int64) error {
	n, err := b.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return nil
	}
	if err != nil {
		return fmt.Errorf("read disk at %d+%d: %w", off, len(p), err)
	}
	return nil
}

func (b *file) WriteAt(p []byte, off int64) error {
	if _, err := b.f.WriteAt(p, off); err != nil {
		return fmt.Errorf("write disk at %d+%d: %w", off, len(p), err)
	}
	return nil
}

// Zero makes a hole where the file system can, and writes zeroes where it can not.
func (b *file) Zero(off, n int64) error {
	mode := uint32(unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE)
	if b.block {
		mode = unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
	}
	if n == 0 || unix.Fallocate(int(b.f.Fd()), mode, off, n) == nil {
		return nil
	}
	zeroes := make([]byte, min(n, 256*leaf.BlockSize))
	for n > 0 {
		k := min(n, int64(len(zeroes)))
		if err := b.WriteAt(zeroes[:k], off); err != nil {
			return err
		}
		off, n = off+k, n-k
	}
	return nil
}

func (b *file) Sync() error {
	if err := unix.Fdatasync(int(b.f.Fd())); err != nil {
		return fmt.Errorf("sync disk: %w", err)
	}
	return nil
}

func (b *file) Close() error { return b.f.Close() }

func (b *file) Size() (int64, error) {
	n, err := b.f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size of disk: %w", err)
	}
	return n, nil
}

func (b *file) Grow(size int64) error {
	have, err := b.Size()
	if err != nil || have >= size {
		return err
	}
	if b.block {
		return fmt.Errorf("%w: device has %d bytes, volume %d", ErrSpec, have, size)
	}
	if err := b.f.Truncate(size); err != nil {
		return fmt.Errorf("grow disk from %d to %d bytes: %w", have, size, err)
	}
	return nil
}

func (b *file) Data(off int64) (start, end int64, err error) {
	size, err := b.Size()
	if err != nil || off >= size {
		return size, size, err
	}
	if b.block {
		return off, size, nil
	}
	start, err = b.f.Seek(off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil
	}
	if err != nil {
		return off, size, nil // a file system without holes: all of it may be data
	}
	if end, err = b.f.Seek(start, unix.SEEK_HOLE); err != nil {
		end = size
	}
	return start, end, nil
}
