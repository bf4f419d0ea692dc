package scsi

import (
	"encoding/binary"
	"math"
)

// Status is the SCSI status of a command (SAM-5, section 5.3).
type Status uint8

// The statuses that are used here.
const (
	Good                Status = 0x00
	CheckCondition      Status = 0x02
	ConditionMet        Status = 0x04
	Busy                Status = 0x08
	ReservationConflict Status = 0x18
	TaskSetFull         Status = 0x28
)

// The sense keys that are used here (SPC-4, table 53).
const (
	KeyNoSense        = 0x0
	KeyNotReady       = 0x2
	KeyMediumError    = 0x3
	KeyHardwareError  = 0x4
	KeyIllegalRequest = 0x5
	KeyUnitAttention  = 0x6
	KeyDataProtect    = 0x7
	KeyCopyAborted    = 0xa
	KeyAbortedCommand = 0xb
	KeyMiscompare     = 0xe
)

// Code is a sense key with its additional sense code and qualifier: key<<16 | ASC<<8 | ASCQ (SPC-4, annex D.2).
type Code uint32

// The codes that are used here, by their names in SPC-4.
const (
	NoSense                   Code = 0
	NotReadyManual            Code = KeyNotReady<<16 | 0x0403
	NotReadySanitizing        Code = KeyNotReady<<16 | 0x041b
	MediumNotPresent          Code = KeyNotReady<<16 | 0x3a00
	MediumNotPresentOpen      Code = KeyNotReady<<16 | 0x3a02
	WriteError                Code = KeyMediumError<<16 | 0x0c00
	UnrecoveredReadError      Code = KeyMediumError<<16 | 0x1100
	InternalTargetFailure     Code = KeyHardwareError<<16 | 0x4400
	InvalidOpcode             Code = KeyIllegalRequest<<16 | 0x2000
	ParameterListLength       Code = KeyIllegalRequest<<16 | 0x1a00
	LBAOutOfRange             Code = KeyIllegalRequest<<16 | 0x2100
	InvalidFieldInCDB         Code = KeyIllegalRequest<<16 | 0x2400
	LUNotSupported            Code = KeyIllegalRequest<<16 | 0x2500
	InvalidFieldInParams      Code = KeyIllegalRequest<<16 | 0x2600
	ParameterNotSupported     Code = KeyIllegalRequest<<16 | 0x2601
	InvalidRelease            Code = KeyIllegalRequest<<16 | 0x2604
	TooManyTargetDescriptors  Code = KeyIllegalRequest<<16 | 0x2606
	UnsupportedTargetType     Code = KeyIllegalRequest<<16 | 0x2607
	TooManySegments           Code = KeyIllegalRequest<<16 | 0x2608
	UnsupportedSegmentType    Code = KeyIllegalRequest<<16 | 0x2609
	InlineDataExceeded        Code = KeyIllegalRequest<<16 | 0x260b
	SavingNotSupported        Code = KeyIllegalRequest<<16 | 0x3900
	MediumRemovalPrevented    Code = KeyIllegalRequest<<16 | 0x5302
	InsufficientRegistration  Code = KeyIllegalRequest<<16 | 0x5504
	InvalidFieldInCommandIU   Code = KeyIllegalRequest<<16 | 0x0e03
	PowerOn                   Code = KeyUnitAttention<<16 | 0x2900
	NexusLost                 Code = KeyUnitAttention<<16 | 0x2907
	DeviceReset               Code = KeyUnitAttention<<16 | 0x2903
	MediumChanged             Code = KeyUnitAttention<<16 | 0x2800
	ModeParametersChanged     Code = KeyUnitAttention<<16 | 0x2a01
	ReservationsPreempted     Code = KeyUnitAttention<<16 | 0x2a03
	ReservationsReleased      Code = KeyUnitAttention<<16 | 0x2a04
	RegistrationsPreempted    Code = KeyUnitAttention<<16 | 0x2a05
	CapacityChanged           Code = KeyUnitAttention<<16 | 0x2a09
	CommandsClearedByOther    Code = KeyUnitAttention<<16 | 0x2f00
	WriteProtected            Code = KeyDataProtect<<16 | 0x2700
	SoftwareWriteProtected    Code = KeyDataProtect<<16 | 0x2702
	SpaceAllocationFailed     Code = KeyDataProtect<<16 | 0x2707
	CopyTargetNotReachable    Code = KeyCopyAborted<<16 | 0x0d02
	NotEnoughUnsolicitedData  Code = KeyAbortedCommand<<16 | 0x0c0d
	UnexpectedUnsolicitedData Code = KeyAbortedCommand<<16 | 0x0c0c
	DataPhaseError            Code = KeyAbortedCommand<<16 | 0x4b00
	MiscompareDuringVerify    Code = KeyMiscompare<<16 | 0x1d00
)

// Key returns the sense key.
func (c Code) Key() uint8 { return uint8(c >> 16) }

// Sense is what a command has to say beside its status.
type Sense struct {
	Code    Code
	Info    uint64 // INFORMATION: an LBA, or a byte offset after a miscompare
	HasInfo bool

	Field    uint16 // SENSE KEY SPECIFIC: the byte of CDB or parameter list that is wrong
	HasField bool   // only with KeyIllegalRequest
	InCDB    bool
}

// SenseMax is the most bytes that Append adds.
const SenseMax = 28

// Append appends s as sense data, in descriptor format if descriptor is set, else in fixed format (SPC-4, section
// 4.5). Fixed format has no room for an INFORMATION of 2^32 and more, which it then leaves out.
func (s Sense) Append(dst []byte, descriptor bool) []byte {
	if descriptor {
		return s.appendDescriptor(dst)
	}
	var b [18]byte
	b[0] = 0x70
	if s.HasInfo && s.Info <= math.MaxUint32 {
		b[0] |= 0x80
		binary.BigEndian.PutUint32(b[3:], uint32(s.Info))
	}
	b[2] = s.Code.Key()
	b[7] = byte(len(b) - 8)
	b[12], b[13] = byte(s.Code>>8), byte(s.Code)
	if s.HasField {
		s.putField(b[15:])
	}
	return append(dst, b[:]...)
}

func (s Sense) appendDescriptor(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 0x72, s.Code.Key(), byte(s.Code>>8), byte(s.Code), 0, 0, 0, 0)
	if s.HasInfo {
		dst = append(dst, 0x00, 0x0a, 0x80, 0x00)
		dst = binary.BigEndian.AppendUint64(dst, s.Info)
	}
	if s.HasField {
		d := [8]byte{0: 0x02, 1: 0x06}
		s.putField(d[4:])
		dst = append(dst, d[:]...)
	}
	dst[start+7] = byte(len(dst) - start - 8)
	return dst
}

// putField writes the field pointer of SPC-4, section 4.5.2.4.2.
func (s Sense) putField(b []byte) {
	b[0] = 0x80
	if s.InCDB {
		b[0] |= 0x40
	}
	binary.BigEndian.PutUint16(b[1:], s.Field)
}
