package target

import (
	"errors"
	"fmt"
)

// The errors that a Device may return, for doors to translate. Anything else is treated as ErrIO.
var (
	ErrOutOfRange = errors.New("range lies outside the device")
	ErrReadOnly   = errors.New("device is read-only")
	ErrNoSpace    = errors.New("no space left for the write")
	ErrNotFast    = errors.New("zeroes can not be written faster than data")
	ErrFenced     = errors.New("another gateway has taken over; writes are not accepted any more")
	ErrClosed     = errors.New("device is closed")
	ErrIO         = errors.New("input/output error")
)

// MediumError is damage found in stored data: the content of [Off, Off+Len) can not be returned.
type MediumError struct {
	Off, Len int64 // bytes, on the device
	Err      error // what was found
}

func (e *MediumError) Error() string {
	return fmt.Sprintf("damaged data at %d+%d: %v", e.Off, e.Len, e.Err)
}

func (e *MediumError) Unwrap() []error { return []error{ErrIO, e.Err} }

// CheckRange returns ErrOutOfRange, with the figures, unless 0 ≤ off, 0 ≤ n and off+n ≤ size.
func CheckRange(off, n, size int64) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return fmt.Errorf("%w: %d+%d of %d bytes", ErrOutOfRange, off, n, size)
	}
	return nil
}
