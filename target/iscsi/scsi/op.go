package scsi

import (
	"encoding/binary"
	"sync/atomic"
)

// Class says what a command does to the device, so that a transport can schedule it.
type Class uint8

const (
	Control Class = iota // answers from memory
	Read                 // reads the device once
	Write                // writes the device once, with all of its data-out
	Other                // anything else: flushes, zeroes, commands of several steps
)

// Op is one command between Begin and its answer. An Op may be used again after the answer was sent; the zero Op is
// ready for Begin. It is not for concurrent use, except Abort.
type Op struct {
	// Set by Begin.
	Class    Class
	OutLen   int  // bytes of data-out that the command takes
	OutExact bool // any other amount of data-out makes the command fail
	OutLess  bool // less data-out is written as far as it goes (SAM-5, section 5.4.2); else it makes the command fail
	InLen    int  // for Class Read: bytes of data-in that the command returns

	// The answer; valid once Begin returned false, or after Run. In holds the data-in; for Class Read it is the slice
	// that Run was given.
	Status Status
	Sense  Sense
	In     []byte

	// Preempted are the nexuses whose commands the transport has to end before it answers (PREEMPT AND ABORT).
	Preempted []*Nexus

	nexus   *Nexus
	cmd     *command
	cdb     [32]byte
	cdbLen  int
	off, n  int64 // byte range on the device
	blocks  uint64
	fua     bool
	alloc   int // allocation length of data-in
	span    span
	aborted atomic.Bool
}

// Abort makes a command of several steps stop before its next one. Steps that were done stay done.
func (op *Op) Abort() { op.aborted.Store(true) }

// Failed reports whether the status is one that says the command was not carried out.
func (op *Op) Failed() bool { return op.Status != Good && op.Status != ConditionMet }

// Name returns the command's name, for logs.
func (op *Op) Name() string {
	if op.cmd == nil {
		return "unknown"
	}
	return op.cmd.name
}

// Mismatch is the answer to an amount of data-out that the command can not do with.
func (op *Op) Mismatch() {
	if op.OutExact {
		op.fail(InvalidFieldInCDB)
		return
	}
	op.fail(InvalidFieldInCommandIU)
}

// Run executes the command. out is the data-out, OutLen bytes, or less with OutLess; in, for Class Read, the place for the data-in, at most
// InLen bytes: less when the initiator expects less. Both are the caller's and are not kept, except that In aliases in.
func (op *Op) Run(out, in []byte) {
	if op.cmd.run == nil {
		return
	}
	if op.Class == Read {
		op.In = in
	}
	op.cmd.run(op, out)
}

// Descriptor reports whether sense data is to be sent in descriptor format (D_SENSE of the control mode page).
func (op *Op) Descriptor() bool { return op.nexus.unit.modes.dSense.Load() }

func (op *Op) reset(n *Nexus, cdb []byte) {
	op.Class, op.OutLen, op.OutExact, op.OutLess, op.InLen = Control, 0, false, false, 0
	op.Status, op.Sense, op.In, op.Preempted = Good, Sense{}, nil, nil
	op.nexus, op.cmd = n, nil
	op.off, op.n, op.blocks, op.fua, op.alloc = 0, 0, 0, false, 0
	op.aborted.Store(false)
	op.cdb = [32]byte{}
	op.cdbLen = copy(op.cdb[:], cdb)
}

// fail sets CHECK CONDITION with code. It returns false so that parsers can end with it.
func (op *Op) fail(code Code) bool {
	op.Status, op.Sense, op.In = CheckCondition, Sense{Code: code}, nil
	return false
}

// badField is fail(InvalidFieldInCDB) that points to byte at of the CDB.
func (op *Op) badField(at int) bool {
	op.fail(InvalidFieldInCDB)
	op.Sense.Field, op.Sense.HasField, op.Sense.InCDB = uint16(at), true, true
	return false
}

// badParam is a failure that points to byte at of the parameter list.
func (op *Op) badParam(code Code, at int) bool {
	op.fail(code)
	op.Sense.Field, op.Sense.HasField = uint16(at), true
	return false
}

// reply returns b as data-in, cut to the allocation length.
func (op *Op) reply(b []byte) { op.In = b[:min(len(b), op.alloc)] }

func (op *Op) u16(at int) uint16 { return binary.BigEndian.Uint16(op.cdb[at:]) }
func (op *Op) u32(at int) uint32 { return binary.BigEndian.Uint32(op.cdb[at:]) }
func (op *Op) u64(at int) uint64 { return binary.BigEndian.Uint64(op.cdb[at:]) }
