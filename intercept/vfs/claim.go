package vfs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Link makes a symbolic link.
func (OS) Link(path, name string) error { return os.Symlink(path, name) }

// LinkedTo reads a symbolic link.
func (OS) LinkedTo(name string) (string, error) {
	path, err := os.Readlink(name)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return path, err
}

// Claim takes a block device as a file system does when it is mounted (open(2), O_EXCL), and a file under flock(2).
// What does not ask for a lock is found by asking for a lease, which the kernel grants only on a file that nobody else
// has open (fcntl(2), F_SETLEASE); file systems without leases tell nothing.
func (OS) Claim(name string) (File, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	switch st.Mode().Type() {
	case 0:
		return claimFile(name)
	case os.ModeDevice:
		return claimDevice(name, st)
	}
	return nil, fmt.Errorf("%s: %w", name, ErrKind)
}

func claimFile(name string) (File, error) {
	f, err := openOS(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is locked: %w%s", name, ErrLocked, holder(name))
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETLEASE, unix.F_WRLCK); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY) {
		f.Close()
		return nil, fmt.Errorf("%s is open: %w%s", name, ErrLocked, holder(name))
	}
	_, _ = unix.FcntlInt(uintptr(f.fd), unix.F_SETLEASE, unix.F_UNLCK) // it was a question only
	return f, nil
}

func claimDevice(name string, st os.FileInfo) (File, error) {
	f, err := openOS(name, os.O_RDWR|unix.O_EXCL)
	if errors.Is(err, unix.EBUSY) {
		if at := mountedAt(st); at != "" {
			return nil, fmt.Errorf("%s is mounted at %s: %w", name, at, ErrLocked)
		}
		return nil, fmt.Errorf("%s: %w (mounted, swap, or part of another device: lsblk shows which)", name, ErrLocked)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// mountedAt returns where a block device is mounted; "" when it is not, or that can not be told.
func mountedAt(st os.FileInfo) string {
	dev, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	number := fmt.Sprintf("%d:%d", unix.Major(dev.Rdev), unix.Minor(dev.Rdev))
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if field := strings.Fields(lines.Text()); len(field) > 4 && field[2] == number {
			return field[4]
		}
	}
	return ""
}

// holder says which process has a file open, as far as /proc tells it.
func holder(name string) string {
	want, err := os.Stat(name)
	if err != nil {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // a pattern that is right
	for _, link := range links {
		pid := strings.Split(link, "/")[2]
		if pid == fmt.Sprint(os.Getpid()) {
			continue
		}
		if st, err := os.Stat(link); err == nil && os.SameFile(st, want) {
			comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm")) // a name for people
			return fmt.Sprintf(" (process %s, %s)", pid, strings.TrimSpace(string(comm)))
		}
	}
	return ""
}
