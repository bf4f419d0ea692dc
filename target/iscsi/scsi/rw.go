package scsi

import (
	"github.com/weirstor/weir/target"
)

// Bits of byte 1 of READ and WRITE (SBC-3, section 5.8).
const (
	protectBits = 0xe0
	bitFUA      = 0x08
)

// place sets the range of a command and checks it against the capacity (SBC-3, section 4.21: LOGICAL BLOCK ADDRESS
// OUT OF RANGE, also for a length of zero beyond the end).
func (op *Op) place(lba, blocks uint64) bool {
	u := op.nexus.unit
	capacity := u.lastLBA() + 1
	if lba > capacity || blocks > capacity-lba {
		op.fail(LBAOutOfRange)
		op.Sense.Info, op.Sense.HasInfo = max(lba, capacity), true
		return false
	}
	op.off, op.n, op.blocks = int64(lba)*int64(u.blockSize), int64(blocks)*int64(u.blockSize), blocks
	return true
}

// transfer is place for commands that move the blocks: it also checks the maximum transfer length. at is the byte of
// the CDB that holds the length.
func (op *Op) transfer(lba, blocks uint64, at int) bool {
	if !op.place(lba, blocks) {
		return false
	}
	if op.n > MaxTransfer {
		return op.badField(at)
	}
	return true
}

// unprotected refuses RDPROTECT and its like, since units have no protection information (SBC-3, section 5.8).
func (op *Op) unprotected() bool {
	if op.cdb[1]&protectBits != 0 {
		return op.badField(1)
	}
	return true
}

func parseRead6(op *Op) bool  { return op.parseSix() && op.asRead() }
func parseRead10(op *Op) bool { return op.parseTen() && op.asRead() }
func parseRead12(op *Op) bool { return op.parseTwelve() && op.asRead() }
func parseRead16(op *Op) bool { return op.parseSixteen() && op.asRead() }

func parseWrite6(op *Op) bool  { return op.parseSix() && op.asWrite() }
func parseWrite10(op *Op) bool { return op.parseTen() && op.asWrite() }
func parseWrite12(op *Op) bool { return op.parseTwelve() && op.asWrite() }
func parseWrite16(op *Op) bool { return op.parseSixteen() && op.asWrite() }

// parseSix reads a 6-byte CDB, where a length of 0 means 256 blocks (SBC-3, section 5.7).
func (op *Op) parseSix() bool {
	blocks := uint64(op.cdb[4])
	if blocks == 0 {
		blocks = 256
	}
	return op.transfer(uint64(op.u32(0)&0x1fffff), blocks, 4)
}

func (op *Op) parseTen() bool {
	op.fua = op.cdb[1]&bitFUA != 0
	return op.unprotected() && op.transfer(uint64(op.u32(2)), uint64(op.u16(7)), 7)
}

func (op *Op) parseTwelve() bool {
	op.fua = op.cdb[1]&bitFUA != 0
	return op.unprotected() && op.transfer(uint64(op.u32(2)), uint64(op.u32(6)), 6)
}

func (op *Op) parseSixteen() bool {
	op.fua = op.cdb[1]&bitFUA != 0
	return op.unprotected() && op.transfer(op.u64(2), uint64(op.u32(10)), 10)
}

func (op *Op) asRead() bool {
	if op.n > 0 {
		op.Class, op.InLen = Read, int(op.n)
	}
	return true
}

func (op *Op) asWrite() bool {
	if op.n > 0 {
		op.Class, op.OutLen, op.OutLess = Write, int(op.n), true
	}
	return true
}

func runRead(op *Op, _ []byte) {
	if len(op.In) == 0 {
		return
	}
	if op.fua && !op.flush() { // SBC-3, section 5.8: FUA on a read writes cached blocks first
		return
	}
	if err := op.nexus.unit.dev.ReadAt(op.In, op.off); err != nil {
		op.fault(err, UnrecoveredReadError, op.off)
	}
}

func runWrite(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	u := op.nexus.unit
	u.ranges.lock(&op.span, op.off, op.n, false)
	defer u.ranges.unlock(&op.span)
	if err := u.dev.WriteAt(out, op.off, op.through()); err != nil {
		op.fault(err, WriteError, op.off)
	}
}

// through reports whether a write is to be on stable storage before its answer: by FUA, or because the write cache
// was switched off.
func (op *Op) through() bool { return op.fua || !op.nexus.unit.modes.cache.Load() }

// flush makes all earlier writes stable.
func (op *Op) flush() bool {
	if err := op.nexus.unit.dev.Flush(); err != nil {
		op.fault(err, WriteError, op.off)
		return false
	}
	return true
}

// Batch runs several commands of Class Write of one unit together. The zero Batch is ready; it is not for concurrent
// use and may be used again after Run.
type Batch struct {
	ops  []*Op
	reqs []target.WriteOp
}

// Add takes op, which Begin has let pass with Class Write, and its data-out of OutLen bytes. Both must stay as they
// are until Run has returned.
func (b *Batch) Add(op *Op, out []byte) {
	b.ops = append(b.ops, op)
	b.reqs = append(b.reqs, target.WriteOp{Data: out, Off: op.off, FUA: op.through()})
}

// Len returns the number of commands that Run will execute.
func (b *Batch) Len() int { return len(b.ops) }

// Run executes the commands, in the order in which they were added, and empties the batch.
func (b *Batch) Run() {
	if len(b.ops) == 0 {
		return
	}
	u := b.ops[0].nexus.unit
	for _, op := range b.ops {
		u.ranges.lock(&op.span, op.off, op.n, false)
	}
	target.WriteBatch(u.dev, b.reqs)
	for i, op := range b.ops {
		u.ranges.unlock(&op.span)
		if err := b.reqs[i].Err; err != nil {
			op.fault(err, WriteError, op.off)
		}
	}
	clear(b.ops)
	clear(b.reqs)
	b.ops, b.reqs = b.ops[:0], b.reqs[:0]
}
