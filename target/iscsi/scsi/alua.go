package scsi

import "encoding/binary"

// parseReportGroups is SPC-4, section 6.37.
func parseReportGroups(op *Op) bool {
	op.alloc = int(op.u32(6))
	if op.cdb[1]>>5 > 1 { // parameter data format
		return op.badField(1)
	}
	return true
}

// runReportGroups tells the one group that there is: always active and optimized.
func runReportGroups(op *Op, _ []byte) {
	group := op.nexus.unit.id.PortGroup
	b := make([]byte, 4, 24)
	if op.cdb[1]>>5 == 1 { // extended header
		b = append(b, 0x10, 0, 0, 0)
	}
	d := [12]byte{0: 0x00, 1: 0x01} // state: active/optimized; AO_SUP
	binary.BigEndian.PutUint16(d[2:], group)
	d[7] = 1 // one port
	binary.BigEndian.PutUint16(d[10:], group)
	b = append(b, d[:]...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	op.reply(b)
}
