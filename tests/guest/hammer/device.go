package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// device is what the hammer works on.
type device interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Sync() error
	discard(off, n int64) error
	zero(off, n int64) error
}

// blockDevice is one of the kernel's, past the page cache.
type blockDevice struct{ *os.File }

// openDevice returns the device at path and its size in bytes.
func openDevice(path string) (blockDevice, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return blockDevice{}, 0, err
	}
	size, err := f.Seek(0, 2)
	if err == nil && size < slotBytes {
		err = fmt.Errorf("%s has %d bytes, want at least %d", path, size, slotBytes)
	}
	return blockDevice{f}, size, err
}

func (d blockDevice) discard(off, n int64) error { return d.ranged(unix.BLKDISCARD, off, n) }

func (d blockDevice) zero(off, n int64) error { return d.ranged(unix.BLKZEROOUT, off, n) }

func (d blockDevice) ranged(request uintptr, off, n int64) error {
	r := [2]uint64{uint64(off), uint64(n)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, d.Fd(), request, uintptr(unsafe.Pointer(&r))); e != 0 {
		return os.NewSyscallError(fmt.Sprintf("ioctl %#x", request), e)
	}
	return nil
}

// aligned returns n bytes as direct input and output wants them.
func aligned(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}
