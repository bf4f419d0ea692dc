package scsi

import (
	"errors"

	"github.com/weirstor/weir/target"
)

// fault turns an error of the device into sense data. code is for damage that has no name of its own:
// UnrecoveredReadError or WriteError. off is where the failed call began, in bytes.
func (op *Op) fault(err error, code Code, off int64) {
	bs := int64(op.nexus.unit.blockSize)
	var damage *target.MediumError
	switch {
	case errors.As(err, &damage):
		op.fail(code)
		op.Sense.Info, op.Sense.HasInfo = uint64(max(damage.Off, off)/bs), true
	case errors.Is(err, target.ErrOutOfRange):
		op.fail(LBAOutOfRange)
	case errors.Is(err, target.ErrReadOnly):
		op.fail(WriteProtected)
	case errors.Is(err, target.ErrFenced):
		op.fail(SoftwareWriteProtected)
	case errors.Is(err, target.ErrNoSpace):
		op.fail(SpaceAllocationFailed)
	case errors.Is(err, target.ErrClosed):
		op.fail(NotReadyManual)
	default:
		op.fail(code)
		op.Sense.Info, op.Sense.HasInfo = uint64(off/bs), true
	}
}
