package codec

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
)

// What can be wrong with an epoch's packs. Each is wrapped with the frame and what was found.
var (
	ErrCorrupt      = errors.New("encoded epoch is damaged")
	ErrVersion      = errors.New("encoded epoch is of an unsupported version")
	ErrBaseMismatch = errors.New("old content differs from what the epoch was encoded against")
)

// BaseMismatchError is an ErrBaseMismatch with the range whose old content differs, as far as it is known: a hull,
// within which at least one leaf block differs.
type BaseMismatchError struct {
	Volume   ident.VolumeID
	Off, Len int64 // bytes
}

func (e *BaseMismatchError) Error() string {
	return fmt.Sprintf("%v: volume %s, bytes %d to %d", ErrBaseMismatch, e.Volume, e.Off, e.Off+e.Len)
}

// Is makes errors.Is(err, ErrBaseMismatch) true.
func (e *BaseMismatchError) Is(target error) bool { return target == ErrBaseMismatch }

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
