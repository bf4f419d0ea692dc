package scsi

import "encoding/binary"

// parseReportOpcodes is REPORT SUPPORTED OPERATION CODES (SPC-4, section 6.35).
func parseReportOpcodes(op *Op) bool {
	op.alloc = int(op.u32(6))
	if op.cdb[2]&0x07 > 3 {
		return op.badField(2)
	}
	return true
}

func runReportOpcodes(op *Op, _ []byte) {
	u := op.nexus.unit
	timeouts := op.cdb[2]&0x80 != 0 // RCTD
	opcode, action := op.cdb[3], op.u16(4)
	switch op.cdb[2] & 0x07 {
	case 0:
		op.reply(allCommands(u, timeouts))
	case 1:
		if len(table[opcode].actions) > 0 {
			op.badField(2)
			return
		}
		op.reply(describe(u, table[opcode].plain, timeouts))
	case 2:
		if len(table[opcode].actions) == 0 {
			op.badField(2)
			return
		}
		op.reply(describe(u, table[opcode].action(action), timeouts))
	case 3:
		c := table[opcode].plain
		if len(table[opcode].actions) > 0 || (c != nil && action != 0) {
			c = table[opcode].action(action)
		}
		op.reply(describe(u, c, timeouts))
	}
}

// noTimeout is a command timeouts descriptor that names none (SPC-4, section 6.35.4).
var noTimeout = [12]byte{1: 0x0a}

func allCommands(u *Unit, timeouts bool) []byte {
	b := make([]byte, 4)
	for _, c := range commands {
		if !c.offeredBy(u) {
			continue
		}
		d := make([]byte, 8)
		d[0] = c.opcode
		if c.action >= 0 {
			binary.BigEndian.PutUint16(d[2:], uint16(c.action))
			d[5] |= 0x01 // SERVACTV
		}
		if timeouts {
			d[5] |= 0x02 // CTDP
		}
		binary.BigEndian.PutUint16(d[6:], uint16(c.length))
		b = append(b, d...)
		if timeouts {
			b = append(b, noTimeout[:]...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// describe is the one-command format: supported as the standard says, with the bits of the CDB that are looked at.
func describe(u *Unit, c *command, timeouts bool) []byte {
	if c == nil || !c.offeredBy(u) {
		return []byte{0, 1, 0, 0}
	}
	b := []byte{0, 3, 0, byte(c.length)}
	b = append(b, c.mask()...)
	if timeouts {
		b[1] |= 0x80
		b = append(b, noTimeout[:]...)
	}
	return b
}

func parseReportTasks(op *Op) bool {
	op.alloc = int(op.u32(6))
	if op.alloc < 4 {
		return op.badField(6)
	}
	return true
}

// runReportTasks is REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4, section 6.36): abort task, abort task set,
// clear task set, logical unit reset, target reset.
func runReportTasks(op *Op, _ []byte) {
	b := []byte{0x80 | 0x40 | 0x10 | 0x08 | 0x02, 0, 0, 0}
	if op.cdb[2]&0x80 != 0 { // REPD
		b = append(b, make([]byte, 12)...)
		b[3] = 12
	}
	op.reply(b)
}
