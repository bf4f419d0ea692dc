package vfs

import (
	"errors"
	"syscall"
)

// ErrLocked is returned by Lock when another process, or another holder in this one, has the lock.
var ErrLocked = errors.New("in use by another process")

// ErrKind is returned by Claim for what is neither a regular file nor a block device.
var ErrKind = errors.New("neither a regular file nor a block device")

// IsNoSpace reports whether err says that the disk, or a quota on it, is full.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
