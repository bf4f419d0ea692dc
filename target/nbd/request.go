package nbd

import (
	"encoding/binary"
	"fmt"
)

// request is one decoded request; proto.md, "Request message", and ext-header for the extended form.
type request struct {
	cookie uint64
	off    uint64
	n      uint64 // bytes: of payload if there is one, else of the range concerned
	cmd    command
	flags  uint16

	// Either refused or payload is set only for requests whose payload has been dealt with by the lane.
	refused *refusal
	payload []byte // of BLOCK_STATUS in its payload form; a copy
}

// decodeRequest reads the header at the start of b, which holds at least headerSize bytes.
func decodeRequest(b []byte, ext bool) (request, error) {
	want := magicRequest
	if ext {
		want = magicExtendedRequest
	}
	if got := binary.BigEndian.Uint32(b); got != want {
		return request{}, fmt.Errorf("request has magic %#08x, want %#08x", got, want)
	}
	r := request{
		flags:  binary.BigEndian.Uint16(b[4:]),
		cmd:    command(binary.BigEndian.Uint16(b[6:])),
		cookie: binary.BigEndian.Uint64(b[8:]),
		off:    binary.BigEndian.Uint64(b[16:]),
	}
	if ext {
		r.n = binary.BigEndian.Uint64(b[24:])
	} else {
		r.n = uint64(binary.BigEndian.Uint32(b[24:]))
	}
	return r, nil
}

// hasPayload reports whether r.n bytes follow the header. In the compact form only WRITE has a payload, in the
// extended form the flag tells, whatever the command.
func (r *request) hasPayload(ext bool) bool {
	if ext {
		return r.flags&cmdFlagPayloadLen != 0
	}
	return r.cmd == cmdWrite
}

// fua reports whether the command must be on stable storage before it is answered.
func (r *request) fua() bool { return r.flags&cmdFlagFUA != 0 }

// allowedFlags are the flags valid with each command. FUA is valid with all; proto.md, "Command flags".
var allowedFlags = [...]uint16{
	cmdRead:        cmdFlagFUA | cmdFlagDF,
	cmdWrite:       cmdFlagFUA,
	cmdDisc:        cmdFlagFUA,
	cmdFlush:       cmdFlagFUA,
	cmdTrim:        cmdFlagFUA,
	cmdCache:       cmdFlagFUA,
	cmdWriteZeroes: cmdFlagFUA | cmdFlagNoHole | cmdFlagFastZero,
	cmdBlockStatus: cmdFlagFUA | cmdFlagReqOne,
}

// check returns why r can not be served under t, or nil. It changes nothing but for BLOCK_STATUS with a payload, whose
// range is checked when the payload is known.
func (t *terms) check(r *request) *refusal {
	if int(r.cmd) >= len(allowedFlags) {
		return refuse(eINVAL, "command %d is not known", r.cmd)
	}
	if why := t.checkFlags(r); why != nil {
		return why
	}
	switch r.cmd {
	case cmdFlush:
		if r.off != 0 || r.n != 0 {
			return refuse(eINVAL, "flush of %d+%d: offset and length are reserved", r.off, r.n)
		}
		return nil
	case cmdWrite, cmdTrim, cmdWriteZeroes:
		if t.readOnly {
			return refuse(ePERM, "the export is read-only")
		}
	case cmdBlockStatus:
		if len(t.contexts) == 0 {
			return refuse(eINVAL, "no metadata context was selected")
		}
		if r.flags&cmdFlagPayloadLen != 0 {
			return nil
		}
	}
	return t.checkRange(r)
}

func (t *terms) checkFlags(r *request) *refusal {
	allowed := allowedFlags[r.cmd]
	if t.style == extended && (r.cmd == cmdWrite || r.cmd == cmdBlockStatus) {
		allowed |= cmdFlagPayloadLen
	}
	if t.style == simple {
		allowed &^= cmdFlagDF
	}
	if bad := r.flags &^ allowed; bad != 0 {
		return refuse(eINVAL, "command %d does not take flags %#x", r.cmd, bad)
	}
	if t.style == extended && r.cmd == cmdWrite && r.flags&cmdFlagPayloadLen == 0 {
		return refuse(eINVAL, "write without the payload flag")
	}
	return nil
}

// checkRange holds r against the size of the export and the constraints that the client has accepted; proto.md, "Size
// constraints".
func (t *terms) checkRange(r *request) *refusal {
	if r.off > t.size || r.n > t.size-r.off {
		return refuse(outOfRange(r.cmd), "%d+%d lies beyond the end of the export, %d bytes", r.off, r.n, t.size)
	}
	if t.aligned && (r.off|r.n)%uint64(t.block) != 0 {
		return refuse(eINVAL, "%d+%d is not aligned to the minimum block size, %d bytes", r.off, r.n, t.block)
	}
	if r.cmd == cmdRead && r.n > MaxPayload {
		code := eOVERFLOW
		if t.style == simple {
			code = eINVAL
		}
		return refuse(code, "read of %d bytes, at most %d can be read at once", r.n, MaxPayload)
	}
	if r.cmd == cmdBlockStatus && r.n == 0 {
		return refuse(eINVAL, "block status of no bytes")
	}
	return nil
}
