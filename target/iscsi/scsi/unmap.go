package scsi

import "encoding/binary"

// unmapDescriptors is the most block descriptors of one UNMAP.
const unmapDescriptors = 256

func parseUnmap(op *Op) bool {
	if op.cdb[1]&0x01 != 0 { // ANCHOR
		return op.badField(1)
	}
	op.Class, op.OutLen, op.OutExact = Other, int(op.u16(7)), true
	return true
}

// runUnmap is SBC-3, section 5.28. All descriptors are checked before the first is carried out.
func runUnmap(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	if len(out) < 8 {
		op.fail(ParameterListLength)
		return
	}
	size := int(binary.BigEndian.Uint16(out[2:]))
	if size > len(out)-8 {
		op.fail(ParameterListLength)
		return
	}
	list := out[8 : 8+size/16*16]
	if !op.checkUnmap(list) {
		return
	}
	for ; len(list) > 0 && !op.aborted.Load(); list = list[16:] {
		op.unmapOne(binary.BigEndian.Uint64(list), uint64(binary.BigEndian.Uint32(list[8:])))
		if op.Status != Good {
			return
		}
	}
}

func (op *Op) checkUnmap(list []byte) bool {
	if len(list) > unmapDescriptors*16 {
		return op.badParam(InvalidFieldInParams, 2)
	}
	var total uint64
	for at := 0; at < len(list); at += 16 {
		lba, blocks := binary.BigEndian.Uint64(list[at:]), uint64(binary.BigEndian.Uint32(list[at+8:]))
		if !op.place(lba, blocks) {
			return false
		}
		total += blocks
	}
	if total > uint64(op.nexus.unit.inBlocks(maxUnmap)) {
		return op.badParam(InvalidFieldInParams, 16)
	}
	return true
}

func (op *Op) unmapOne(lba, blocks uint64) {
	u := op.nexus.unit
	if blocks == 0 || !op.place(lba, blocks) {
		return
	}
	u.ranges.lock(&op.span, op.off, op.n, false)
	defer u.ranges.unlock(&op.span)
	if err := u.dev.Trim(op.off, op.n, op.through()); err != nil {
		op.fault(err, WriteError, op.off)
	}
}
