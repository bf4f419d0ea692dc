package wire

import "encoding/binary"

// HeaderLen is the length of a basic header segment in bytes (RFC 7143, section 11.2.1).
const HeaderLen = 48

// NoTag is the reserved task tag (RFC 7143, section 11.2.1.8).
const NoTag = 0xffffffff

// Opcode names a PDU type (RFC 7143, section 11.2.1.2).
type Opcode uint8

// The opcodes of initiator and target.
const (
	NopOut      Opcode = 0x00
	SCSICommand Opcode = 0x01
	TaskRequest Opcode = 0x02
	LoginReq    Opcode = 0x03
	TextReq     Opcode = 0x04
	DataOut     Opcode = 0x05
	LogoutReq   Opcode = 0x06
	SNACKReq    Opcode = 0x10

	NopIn        Opcode = 0x20
	SCSIResponse Opcode = 0x21
	TaskResponse Opcode = 0x22
	LoginResp    Opcode = 0x23
	TextResp     Opcode = 0x24
	DataIn       Opcode = 0x25
	LogoutResp   Opcode = 0x26
	R2T          Opcode = 0x31
	AsyncMessage Opcode = 0x32
	Reject       Opcode = 0x3f
)

// Bits of byte 1 of the header, by PDU type.
const (
	Final    = 0x80 // all types: last PDU of a sequence (RFC 7143, section 11.2.1.3)
	Transit  = 0x80 // login: this side is ready to leave the stage (section 11.12.1)
	Continue = 0x40 // login, text: the text goes on in the next PDU (sections 11.10.2, 11.12.2)

	CommandRead  = 0x40 // SCSI command: data-in is expected (section 11.3.1)
	CommandWrite = 0x20 // SCSI command: data-out is expected

	DataStatus   = 0x01 // data-in: status is in this PDU (section 11.7.3)
	ResidualUnd  = 0x02 // data-in, response: less was moved than expected (section 11.4.1)
	ResidualOver = 0x04 // data-in, response: more would have been moved
)

// Header is a basic header segment. The accessors name the fields by the offsets of RFC 7143, section 11; which of
// them a PDU has depends on its opcode.
type Header [HeaderLen]byte

// Opcode returns the type of the PDU.
func (h *Header) Opcode() Opcode { return Opcode(h[0] & 0x3f) }

// SetOpcode sets the type of the PDU and clears the immediate bit.
func (h *Header) SetOpcode(o Opcode) { h[0] = byte(o) }

// Immediate reports whether the PDU is for immediate delivery (section 11.2.1.1).
func (h *Header) Immediate() bool { return h[0]&0x40 != 0 }

// SetImmediate marks the PDU for immediate delivery.
func (h *Header) SetImmediate() { h[0] |= 0x40 }

// Flags returns byte 1.
func (h *Header) Flags() byte { return h[1] }

// SetFlags sets byte 1.
func (h *Header) SetFlags(f byte) { h[1] = f }

// Final reports whether the F bit is set.
func (h *Header) Final() bool { return h[1]&Final != 0 }

// AHSLen returns the length of all additional header segments in bytes, a multiple of 4.
func (h *Header) AHSLen() int { return int(h[4]) * 4 }

// DataLen returns the length of the data segment in bytes, padding not counted.
func (h *Header) DataLen() int { return int(h[5])<<16 | int(h[6])<<8 | int(h[7]) }

// SetDataLen sets the length of the data segment in bytes, at most 2^24-1.
func (h *Header) SetDataLen(n int) { h[5], h[6], h[7] = byte(n>>16), byte(n>>8), byte(n) }

// LUN returns the logical unit number field as it stands (SAM-5, section 4.7).
func (h *Header) LUN() uint64 { return binary.BigEndian.Uint64(h[8:]) }

// SetLUN sets the logical unit number field.
func (h *Header) SetLUN(l uint64) { binary.BigEndian.PutUint64(h[8:], l) }

// ITT returns the initiator task tag.
func (h *Header) ITT() uint32 { return h.u32(16) }

// SetITT sets the initiator task tag.
func (h *Header) SetITT(v uint32) { h.put32(16, v) }

// Word returns the four bytes at off, big-endian. off is a multiple of 4 below 48.
func (h *Header) Word(off int) uint32 { return h.u32(off) }

// SetWord sets the four bytes at off, big-endian.
func (h *Header) SetWord(off int, v uint32) { h.put32(off, v) }

func (h *Header) u32(off int) uint32 { return binary.BigEndian.Uint32(h[off : off+4]) }

func (h *Header) put32(off int, v uint32) { binary.BigEndian.PutUint32(h[off:off+4], v) }

// Offsets of the fields that several PDU types share, for Word and SetWord.
const (
	OffTTT        = 20 // target transfer tag; expected data transfer length in a SCSI command
	OffCmdSN      = 24 // initiator to target
	OffExpStatSN  = 28 // initiator to target
	OffStatSN     = 24 // target to initiator
	OffExpCmdSN   = 28 // target to initiator
	OffMaxCmdSN   = 32 // target to initiator
	OffDataSN     = 36 // Data-In, Data-Out, R2T (as R2TSN); ExpDataSN in a SCSI response
	OffBufferOff  = 40 // Data-In, Data-Out, R2T
	OffLength     = 44 // R2T: desired data transfer length; Data-In and SCSI response: residual count
	OffRefTask    = 20 // task management request: referenced task tag
	OffRefCmdSN   = 32 // task management request
	OffCDB        = 32 // SCSI command: 16 bytes of CDB
	OffEDTL       = 20 // SCSI command: expected data transfer length
	OffISID       = 8  // login: 6 bytes
	OffTSIH       = 14 // login: 2 bytes
	OffLoginCID   = 20 // login request, logout request: 2 bytes
	OffLoginState = 36 // login response: status class and detail
)

// Pad returns the number of padding bytes after a segment of n bytes (RFC 7143, section 11.1).
func Pad(n int) int { return -n & 3 }

// SNLess reports whether serial number a comes before b (RFC 1982, RFC 7143 section 4.2.2.1).
func SNLess(a, b uint32) bool { return int32(a-b) < 0 }
