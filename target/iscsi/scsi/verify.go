package scsi

import "bytes"

// Values of BYTCHK (SBC-3, section 5.31).
const (
	checkMedium = 0 // read the blocks, compare nothing
	checkBytes  = 1 // compare with the data-out
	checkSame   = 3 // compare each block with the one block of data-out
)

func (op *Op) byteCheck() byte { return op.cdb[1] >> 1 & 3 }

func parseVerify10(op *Op) bool { return op.parseVerify(uint64(op.u32(2)), uint64(op.u16(7)), 7) }
func parseVerify12(op *Op) bool { return op.parseVerify(uint64(op.u32(2)), uint64(op.u32(6)), 6) }
func parseVerify16(op *Op) bool { return op.parseVerify(op.u64(2), uint64(op.u32(10)), 10) }

func (op *Op) parseVerify(lba, blocks uint64, at int) bool {
	if !op.unprotected() {
		return false
	}
	op.Class = Other
	switch op.byteCheck() {
	case checkMedium:
		return op.place(lba, blocks)
	case checkBytes:
		if !op.transfer(lba, blocks, at) {
			return false
		}
		op.OutLen, op.OutExact = int(op.n), true
		return true
	case checkSame:
		if !op.place(lba, blocks) {
			return false
		}
		if blocks > 0 {
			op.OutLen, op.OutExact = op.nexus.unit.blockSize, true
		}
		return true
	}
	return op.badField(1)
}

func runVerify(op *Op, out []byte) {
	if op.n == 0 {
		return
	}
	switch op.byteCheck() {
	case checkMedium:
		op.readThrough()
	case checkSame:
		op.compareSame(out)
	default:
		op.compare(out)
	}
}

// readThrough reads the range and drops it, so that damage is found.
func (op *Op) readThrough() {
	buf := scratch.Get().(*[step]byte)
	defer scratch.Put(buf)
	op.eachStep(step, func(off, n int64) bool { return op.load(buf[:n], off) })
}

// load reads from the device; it sets the sense data and returns false after an error.
func (op *Op) load(p []byte, off int64) bool {
	if err := op.nexus.unit.dev.ReadAt(p, off); err != nil {
		op.fault(err, UnrecoveredReadError, off)
		return false
	}
	return true
}

// store writes to the device.
func (op *Op) store(p []byte, off int64) bool {
	if err := op.nexus.unit.dev.WriteAt(p, off, op.through()); err != nil {
		op.fault(err, WriteError, off)
		return false
	}
	return true
}

// compare reports whether the range holds want. After a difference the sense data tell its offset in the data-out
// (SBC-3, section 5.31).
func (op *Op) compare(want []byte) bool {
	buf := scratch.Get().(*[step]byte)
	defer scratch.Put(buf)
	same := true
	op.eachStep(step, func(off, n int64) bool {
		same = op.load(buf[:n], off) && op.equal(buf[:n], want[off-op.off:][:n], off-op.off)
		return same
	})
	return same
}

// compareSame compares every block of the range with the one in block.
func (op *Op) compareSame(block []byte) {
	buf := scratch.Get().(*[step]byte)
	defer scratch.Put(buf)
	op.eachStep(step, func(off, n int64) bool {
		if !op.load(buf[:n], off) {
			return false
		}
		for at := 0; at < int(n); at += len(block) {
			if !op.equal(buf[at:at+len(block)], block, 0) {
				return false
			}
		}
		return true
	})
}

// equal compares got with want, of the same length; at is the offset of want in the data-out.
func (op *Op) equal(got, want []byte, at int64) bool {
	if bytes.Equal(got, want) {
		return true
	}
	const stride = 64
	i := 0
	for i+stride <= len(want) && bytes.Equal(got[i:i+stride], want[i:i+stride]) {
		i += stride
	}
	for got[i] == want[i] {
		i++
	}
	op.fail(MiscompareDuringVerify)
	op.Sense.Info, op.Sense.HasInfo = uint64(at)+uint64(i), true
	return false
}

func parseWriteVerify10(op *Op) bool {
	return op.parseWriteVerify(uint64(op.u32(2)), uint64(op.u16(7)), 7)
}

func parseWriteVerify12(op *Op) bool {
	return op.parseWriteVerify(uint64(op.u32(2)), uint64(op.u32(6)), 6)
}

func parseWriteVerify16(op *Op) bool { return op.parseWriteVerify(op.u64(2), uint64(op.u32(10)), 10) }

func (op *Op) parseWriteVerify(lba, blocks uint64, at int) bool {
	if !op.unprotected() || !op.transfer(lba, blocks, at) {
		return false
	}
	op.Class, op.OutLen, op.OutLess = Other, int(op.n), true
	return true
}

// runWriteVerify writes, makes the blocks stable and reads them back (SBC-3, section 5.45: the verification is of the
// medium). It holds the range, so that what it reads is what it wrote.
func runWriteVerify(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	u := op.nexus.unit
	u.ranges.lock(&op.span, op.off, op.n, true)
	defer u.ranges.unlock(&op.span)
	op.fua, op.n = true, int64(len(out))
	if !op.store(out, op.off) || op.aborted.Load() {
		return
	}
	if op.byteCheck() == checkMedium {
		op.readThrough()
		return
	}
	op.compare(out)
}
