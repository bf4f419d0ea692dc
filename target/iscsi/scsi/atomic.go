package scsi

import (
	"encoding/binary"
	"sync"
)

// Commands that read, decide and write as one step against every other command that changes the unit through this
// package. They hold the range lock.

// parseWriteAtomic is SBC-4, section 5.48, without boundaries. The write then is an ordinary one: the device promises
// that it is atomic up to AtomicMax.
func parseWriteAtomic(op *Op) bool {
	u := op.nexus.unit
	blocks := uint64(op.u16(12))
	op.fua = op.cdb[1]&bitFUA != 0
	switch {
	case !op.unprotected():
		return false
	case op.u16(10) != 0:
		return op.badField(10)
	case !op.transfer(op.u64(2), blocks, 12):
		return false
	case op.n > int64(u.id.AtomicMax):
		return op.badField(12)
	}
	op.asWrite()
	op.OutLess = false
	return true
}

// parseCompareAndWrite is SBC-3, section 5.3: the data-out is what to compare and then what to write.
func parseCompareAndWrite(op *Op) bool {
	op.fua = op.cdb[1]&bitFUA != 0
	if !op.unprotected() || !op.place(op.u64(2), uint64(op.cdb[13])) {
		return false
	}
	op.Class, op.OutLen, op.OutExact = Other, int(2*op.n), true
	return true
}

func runCompareAndWrite(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	u := op.nexus.unit
	u.ranges.lock(&op.span, op.off, op.n, true)
	defer u.ranges.unlock(&op.span)
	if op.compare(out[:op.n]) && !op.aborted.Load() {
		op.store(out[op.n:], op.off)
	}
}

func parseOrWrite16(op *Op) bool {
	if !op.parseSixteen() {
		return false
	}
	op.Class, op.OutLen, op.OutExact = Other, int(op.n), true
	return true
}

// orBuffers hold the old content for ORWRITE.
var orBuffers = sync.Pool{New: func() any { return new([MaxTransfer]byte) }}

// runOrWrite is SBC-3, section 5.12, with the set operation of its 16-byte form.
func runOrWrite(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	u := op.nexus.unit
	buf := orBuffers.Get().(*[MaxTransfer]byte)
	defer orBuffers.Put(buf)
	u.ranges.lock(&op.span, op.off, op.n, true)
	defer u.ranges.unlock(&op.span)
	result := buf[:op.n]
	if !op.load(result, op.off) {
		return
	}
	for i := 0; i < len(result); i += 8 { // a block is a multiple of 8 bytes
		w := binary.NativeEndian.Uint64(result[i:]) | binary.NativeEndian.Uint64(out[i:])
		binary.NativeEndian.PutUint64(result[i:], w)
	}
	if !op.aborted.Load() {
		op.store(result, op.off)
	}
}
