package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrAHS is a malformed additional header segment.
var ErrAHS = errors.New("malformed additional header segment")

// The kinds of additional header segment (RFC 7143, section 11.2.2.1).
const (
	ahsExtendedCDB = 1
	ahsBidiRead    = 2
)

// AHS is what the additional header segments of a SCSI command say.
type AHS struct {
	ExtendedCDB []byte // bytes 16 and up of the CDB; aliases the parsed bytes
	BidiRead    uint32 // expected bidirectional read data length
	HasBidi     bool
}

// ParseAHS reads the segments in b, which is a multiple of four bytes long (RFC 7143, section 11.2.2). The result
// aliases b.
func ParseAHS(b []byte) (AHS, error) {
	var a AHS
	for len(b) > 0 {
		if len(b) < 4 {
			return AHS{}, fmt.Errorf("%w: %d bytes left, want at least 4", ErrAHS, len(b))
		}
		n := int(binary.BigEndian.Uint16(b)) // counts the bytes after the type, the reserved byte included
		size := 3 + n
		if n < 1 || size+Pad(size) > len(b) {
			return AHS{}, fmt.Errorf("%w: length %d in %d bytes", ErrAHS, n, len(b))
		}
		switch b[2] & 0x3f {
		case ahsExtendedCDB:
			a.ExtendedCDB = b[4:size]
		case ahsBidiRead:
			if n != 5 {
				return AHS{}, fmt.Errorf("%w: bidirectional read length has %d bytes, want 5", ErrAHS, n)
			}
			a.BidiRead, a.HasBidi = binary.BigEndian.Uint32(b[4:]), true
		default:
			return AHS{}, fmt.Errorf("%w: type %#x", ErrAHS, b[2])
		}
		b = b[size+Pad(size):]
	}
	return a, nil
}
