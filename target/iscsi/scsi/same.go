package scsi

import (
	"bytes"

	"github.com/weirstor/weir/target"
)

// Bits of byte 1 of WRITE SAME (SBC-3, sections 5.50 and 5.51).
const (
	bitAnchor = 0x10
	bitUnmap  = 0x08
	bitNDOB   = 0x01 // no data-out; the block is of zeroes
)

func parseWriteSame10(op *Op) bool { return op.parseWriteSame(uint64(op.u32(2)), uint64(op.u16(7)), 7) }

func parseWriteSame16(op *Op) bool {
	return op.parseWriteSame(op.u64(2), uint64(op.u32(10)), 10)
}

func (op *Op) parseWriteSame(lba, blocks uint64, at int) bool {
	u := op.nexus.unit
	switch {
	case op.cdb[1]&(protectBits|bitAnchor) != 0:
		return op.badField(1)
	case op.cdb[1]&0x06 != 0: // PBDATA and LBDATA, obsolete
		return op.badField(1)
	case op.cdb[1]&bitNDOB != 0 && op.cmd.opcode != opWriteSame16:
		return op.badField(1)
	case blocks == 0, blocks > uint64(u.inBlocks(maxWriteSame)): // WSNZ is set
		return op.badField(at)
	}
	if !op.place(lba, blocks) {
		return false
	}
	op.Class = Other
	if op.cdb[1]&bitNDOB == 0 {
		op.OutLen, op.OutExact = u.blockSize, true
	}
	return true
}

// runWriteSame repeats the block over the range. Zeroes are not written one by one; with UNMAP they are unmapped,
// since unmapped blocks read as zeroes (LBPRZ).
func runWriteSame(op *Op, block []byte) {
	u := op.nexus.unit
	u.ranges.lock(&op.span, op.off, op.n, false)
	defer u.ranges.unlock(&op.span)
	if !isZero(block) {
		op.repeat(block)
		return
	}
	var err error
	if op.cdb[1]&bitUnmap != 0 {
		err = u.dev.Trim(op.off, op.n, op.through())
	} else {
		flags := target.ZeroNoHole
		if op.through() {
			flags |= target.ZeroFUA
		}
		err = u.dev.WriteZeroes(op.off, op.n, flags)
	}
	if err != nil {
		op.fault(err, WriteError, op.off)
	}
}

// repeat writes block over the range, a step at a time.
func (op *Op) repeat(block []byte) {
	buf := scratch.Get().(*[step]byte)
	defer scratch.Put(buf)
	n := min(op.n, step)
	for at := copy(buf[:n], block); at < int(n); at *= 2 {
		copy(buf[at:n], buf[:at])
	}
	op.eachStep(step, func(off, n int64) bool { return op.store(buf[:n], off) })
}

// zeroBlock is the longest logical block, of zeroes.
var zeroBlock [4096]byte

func isZero(block []byte) bool { return bytes.Equal(block, zeroBlock[:len(block)]) }
