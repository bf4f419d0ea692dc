package nbd

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/target"
)

// errno is an error of the transmission phase; proto.md, "Error values".
type errno uint32

const (
	ePERM      errno = 1
	eIO        errno = 5
	eINVAL     errno = 22
	eNOSPC     errno = 28
	eOVERFLOW  errno = 75
	eNOTSUP    errno = 95
	eSHUTDOWN  errno = 108
	maxMessage       = 512 // bytes of an error text sent to a client, below the protocol's 4096
)

// refusal is a request refused by the door itself, before the device saw it.
type refusal struct {
	errno errno
	why   string
}

func (e *refusal) Error() string { return e.why }

func refuse(n errno, format string, args ...any) *refusal {
	return &refusal{errno: n, why: fmt.Sprintf(format, args...)}
}

// errnoOf translates an error to what the client of command c is told.
func errnoOf(err error, c command) errno {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r.errno
	case errors.Is(err, target.ErrOutOfRange):
		return outOfRange(c)
	case errors.Is(err, target.ErrReadOnly), errors.Is(err, target.ErrFenced):
		return ePERM
	case errors.Is(err, target.ErrNoSpace):
		return eNOSPC
	case errors.Is(err, target.ErrNotFast) && c == cmdWriteZeroes:
		return eNOTSUP
	case errors.Is(err, target.ErrClosed):
		return eSHUTDOWN
	}
	return eIO
}

// outOfRange is the error for a request beyond the end of the export; proto.md, "Error values".
func outOfRange(c command) errno {
	if c == cmdWrite || c == cmdWriteZeroes {
		return eNOSPC
	}
	return eINVAL
}
