package scsi

import (
	"encoding/binary"
	"math"

	"github.com/weirstor/weir/target"
)

func parseReadCapacity10(op *Op) bool {
	op.alloc = 8
	if op.cdb[8]&0x01 == 0 && op.u32(2) != 0 { // an address without PMI (SBC-3, section 5.15.1)
		return op.badField(2)
	}
	return true
}

func runReadCapacity10(op *Op, _ []byte) {
	u := op.nexus.unit
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], uint32(min(u.lastLBA(), math.MaxUint32)))
	binary.BigEndian.PutUint32(b[4:], uint32(u.blockSize))
	op.reply(b[:])
}

func parseAlloc32At10(op *Op) bool {
	op.alloc = int(op.u32(10))
	return true
}

// runReadCapacity16 is SBC-3, section 5.16.2: thin, unmapped blocks read as zeroes, no protection information.
func runReadCapacity16(op *Op, _ []byte) {
	u := op.nexus.unit
	var b [32]byte
	binary.BigEndian.PutUint64(b[:], u.lastLBA())
	binary.BigEndian.PutUint32(b[8:], uint32(u.blockSize))
	b[13] = u.perPhysical()
	b[14] = 0x80 | 0x40 // LBPME, LBPRZ
	op.reply(b[:])
}

// Limits of one GET LBA STATUS: descriptors, and bytes that are looked at.
const (
	statusExtents = 1024
	statusRange   = 64 << 20
)

func parseGetLBAStatus(op *Op) bool {
	op.alloc = int(op.u32(10))
	lba := op.u64(2)
	u := op.nexus.unit
	if lba > u.lastLBA() {
		return op.fail(LBAOutOfRange)
	}
	left := u.lastLBA() + 1 - lba
	op.Class = Other
	return op.place(lba, min(left, uint64(u.inBlocks(statusRange))))
}

// runGetLBAStatus is SBC-3, section 5.6: what the device calls a hole is deallocated, all else is mapped. A block
// that lies in both is mapped.
func runGetLBAStatus(op *Op, _ []byte) {
	u := op.nexus.unit
	extents, err := u.dev.Extents(op.off, op.n)
	if err != nil {
		op.fault(err, UnrecoveredReadError, op.off)
		return
	}
	runs := u.lbaRuns(extents)
	room := max(1, (op.alloc-8)/16)
	if len(runs) > min(room, statusExtents) {
		runs = runs[:min(room, statusExtents)]
	}
	b := make([]byte, 8, 8+16*len(runs))
	binary.BigEndian.PutUint32(b, uint32(4+16*len(runs)))
	for _, r := range runs {
		b = binary.BigEndian.AppendUint64(b, r.lba)
		b = binary.BigEndian.AppendUint32(b, uint32(r.blocks))
		b = append(b, r.status, 0, 0, 0)
	}
	op.reply(b)
}

type lbaRun struct {
	lba, blocks uint64
	status      byte // provisioning status: 0 mapped, 1 deallocated
}

// lbaRuns turns extents, which cover a range of whole blocks, into runs of blocks with one status each.
func (u *Unit) lbaRuns(extents []target.Extent) []lbaRun {
	bs := int64(u.blockSize)
	var runs []lbaRun
	add := func(from, to int64, status byte) {
		if from >= to {
			return
		}
		if last := len(runs) - 1; last >= 0 && runs[last].status == status {
			runs[last].blocks = uint64(to) - runs[last].lba
			return
		}
		runs = append(runs, lbaRun{uint64(from), uint64(to - from), status})
	}
	if len(extents) == 0 {
		return nil
	}
	first := extents[0].Off / bs
	done := first
	for _, e := range extents {
		if e.Kind != target.Hole {
			continue
		}
		from, to := (e.Off+bs-1)/bs, (e.Off+e.Len)/bs
		if from < to {
			add(done, from, 0)
			add(from, to, 1)
			done = to
		}
	}
	last := extents[len(extents)-1]
	add(done, (last.Off+last.Len)/bs, 0)
	return runs
}

func parseReportLUNs(op *Op) bool {
	op.alloc = int(op.u32(6))
	if op.alloc < 16 || op.cdb[2] > 2 {
		return op.badField(2)
	}
	return true
}

// runReportLUNs tells the one LUN that there is (SPC-4, section 6.33); there are no well-known units.
func runReportLUNs(op *Op, _ []byte) {
	b := make([]byte, 16)
	b[3] = 8
	if op.cdb[2] == 1 {
		b[3] = 0
		b = b[:8]
	}
	op.reply(b)
}

func parseRequestSense(op *Op) bool {
	op.alloc = int(op.cdb[4])
	return true
}

// runRequestSense returns and clears a waiting unit attention (SPC-4, section 6.39); with autosense there is no other
// sense data to return.
func runRequestSense(op *Op, _ []byte) {
	c, _ := op.nexus.takeAttention()
	if c == NoSense && op.nexus.unit.gate.Load()&gateNoMedium != 0 {
		c = MediumNotPresent
	}
	op.reply(Sense{Code: c}.Append(nil, op.cdb[1]&1 != 0))
}

func runTestUnitReady(*Op, []byte) {}

// parseReadDefects is SBC-3, sections 5.18 and 5.19: the lists are empty, in short block format.
func parseReadDefects10(op *Op) bool {
	op.alloc = int(op.u16(7))
	return true
}

func runReadDefects10(op *Op, _ []byte) { op.reply([]byte{0, op.cdb[2] & 0x18, 0, 0}) }

func parseReadDefects12(op *Op) bool {
	op.alloc = int(op.u32(6))
	return true
}

func runReadDefects12(op *Op, _ []byte) { op.reply([]byte{0, op.cdb[1] & 0x18, 0, 0, 0, 0, 0, 0}) }
