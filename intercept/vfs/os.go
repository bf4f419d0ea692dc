package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OS is the file system of the operating system.
type OS struct{}

var (
	_ FS   = OS{}
	_ File = (*osFile)(nil)
)

const filePerm = 0o600

func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (OS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (OS) Open(name string) (File, error) { return openOS(name, os.O_RDWR) }

// OpenDirect falls back to a buffered file, with its cached pages dropped first, where the file system has no direct
// input and output (tmpfs).
func (OS) OpenDirect(name string) (Reader, error) {
	f, err := openOS(name, os.O_RDONLY|unix.O_DIRECT)
	if errors.Is(err, unix.EINVAL) {
		f, err = openOS(name, os.O_RDONLY)
		if err == nil {
			f.Drop(0, 0)
		}
	}
	return f, err
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }

func (OS) Remove(name string) error { return os.Remove(name) }

func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

// osFile is an open file with its descriptor at hand.
type osFile struct {
	*os.File
	fd int
}

func openOS(name string, flags int) (*osFile, error) {
	f, err := os.OpenFile(name, flags|unix.O_CLOEXEC, filePerm)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f, fd: int(f.Fd())}, nil
}

func (f *osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st.Mode()&os.ModeDevice == 0 {
		return st.Size(), nil
	}
	return f.Seek(0, io.SeekEnd) // a block device: all other access is positioned, so the file offset is free
}

func (f *osFile) ReadvAt(bufs [][]byte, off int64) error {
	return f.vector(unix.SYS_PREADV, "preadv", bufs, off)
}

func (f *osFile) WritevAt(bufs [][]byte, off int64) error {
	return f.vector(unix.SYS_PWRITEV, "pwritev", bufs, off)
}

// vector moves all of bufs by as few calls as the kernel allows.
func (f *osFile) vector(trap uintptr, name string, bufs [][]byte, off int64) error {
	v := iovecPool.Get().(*iovecs)
	defer v.release()
	v.set(bufs)
	for rest := v.list; len(rest) > 0; {
		n, _, errno := unix.Syscall6(trap, uintptr(f.fd), uintptr(unsafe.Pointer(&rest[0])),
			uintptr(min(len(rest), iovecMax)), uintptr(off), uintptr(off>>32), 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return fmt.Errorf("%s %s at %d: %w", name, f.Name(), off, errno)
		case n == 0:
			return fmt.Errorf("%s %s at %d: %w", name, f.Name(), off, io.ErrUnexpectedEOF)
		}
		off += int64(n)
		rest = advance(rest, int(n))
	}
	return nil
}

func (f *osFile) Datasync() error {
	for {
		err := unix.Fdatasync(f.fd)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
	}
}

func (f *osFile) NextData(off int64) (int64, error) {
	at, err := unix.Seek(f.fd, off, unix.SEEK_DATA) // all other access is positioned, so the file offset is free
	switch {
	case errors.Is(err, unix.ENXIO):
		return 0, io.EOF
	case errors.Is(err, unix.EINVAL): // the file system does not know
		return off, nil
	case err != nil:
		return 0, fmt.Errorf("seek data %s at %d: %w", f.Name(), off, err)
	}
	return at, nil
}

func (f *osFile) NextHole(off int64) (int64, error) {
	at, err := unix.Seek(f.fd, off, unix.SEEK_HOLE)
	if errors.Is(err, unix.EINVAL) {
		return f.Size()
	}
	if err != nil {
		return 0, fmt.Errorf("seek hole %s at %d: %w", f.Name(), off, err)
	}
	return at, nil
}

func (f *osFile) Allocate(off, n int64) error {
	err := unix.Fallocate(f.fd, 0, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		size, serr := f.Size()
		if serr != nil {
			return serr
		}
		return f.Truncate(max(size, off+n))
	}
	if err != nil {
		return fmt.Errorf("allocate %s %d+%d: %w", f.Name(), off, n, err)
	}
	return nil
}

func (f *osFile) Punch(off, n int64) error {
	err := unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return f.writeZeroes(off, n)
	}
	if err != nil {
		return fmt.Errorf("punch %s %d+%d: %w", f.Name(), off, n, err)
	}
	return nil
}

// writeZeroes serves file systems and devices that can not punch holes.
func (f *osFile) writeZeroes(off, n int64) error {
	for n > 0 {
		step := min(n, int64(len(zeroes)))
		if _, err := f.WriteAt(zeroes[:step], off); err != nil {
			return err
		}
		off, n = off+step, n-step
	}
	return nil
}

func (f *osFile) StartWriteback(off, n int64) {
	_ = unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE) // advice: Datasync decides
}

func (f *osFile) Drop(off, n int64) {
	_ = unix.Fadvise(f.fd, off, n, unix.FADV_DONTNEED) // advice
}

// zeroes is never written to.
var zeroes [1 << 20]byte
