package scsi

// flatZero is LUN 0 in flat space addressing; peripheral device addressing has all zeroes (SAM-5, section 4.7.7).
const flatZero = 0x4000 << 48

// access says with which reservations of other nexuses a command conflicts (SPC-4, table 66; SBC-3, table 16).
type access uint8

const (
	accessFree  access = iota // with none
	accessReady               // with RESERVE(6)
	accessRead                // and with exclusive access
	accessWrite               // and with write exclusive; refused on a write-protected unit
	accessAdmin               // as accessWrite, but changes no medium: allowed on a write-protected unit
)

// Begin reads a command. lun is the LUN field as received; cdb has 16 bytes or more, of which the command uses what
// it needs. If Begin returns false, op is answered already (Status, Sense and In are set); if true, the transport
// moves OutLen bytes of data-out and calls Run.
func (n *Nexus) Begin(op *Op, lun uint64, cdb []byte) bool {
	op.reset(n, cdb)
	op.cmd = lookup(n.unit, cdb)
	if lun != 0 && lun != flatZero {
		return op.beginElsewhere()
	}
	if !n.attended(op) {
		return false
	}
	if op.cmd == nil {
		return op.unknown()
	}
	if !op.cmd.unaware && !n.admit(op) {
		return false
	}
	if op.cdb[op.cmd.length-1]&0x04 != 0 { // NACA (SAM-5, section 5.2)
		return op.badField(op.cmd.length - 1)
	}
	return op.parse()
}

// attended reports a waiting unit attention, unless the command is one that passes it (SPC-4, section 5.14).
func (n *Nexus) attended(op *Op) bool {
	if n.size.Load() != n.unit.dev.Size() {
		n.noticeSize()
	}
	if n.waiting.Load() == 0 || (op.cmd != nil && op.cmd.unaware) {
		return true
	}
	if c, ok := n.takeAttention(); ok {
		return op.fail(c)
	}
	return true
}

// admit checks reservations and medium.
func (n *Nexus) admit(op *Op) bool {
	u := n.unit
	if u.gate.Load() == 0 {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	a := op.cmd.access
	if a != accessFree && u.mu.reserver != nil && u.mu.reserver != n {
		op.Status = ReservationConflict
		return false
	}
	if u.mu.pr.conflicts(n.port, a) {
		op.Status = ReservationConflict
		return false
	}
	if u.mu.ejected && op.cmd.medium {
		return op.fail(MediumNotPresent)
	}
	return true
}

func (op *Op) parse() bool {
	if op.cmd.parse != nil && !op.cmd.parse(op) {
		return false
	}
	if op.Status != Good || op.cmd.run == nil {
		return false
	}
	if op.cmd.access == accessWrite {
		return op.writable()
	}
	return true
}

// writable checks write protection, of the device and by SWP.
func (op *Op) writable() bool {
	u := op.nexus.unit
	if u.dev.ReadOnly() || op.nexus.reader {
		return op.fail(WriteProtected)
	}
	if u.gate.Load()&gateProtect != 0 {
		return op.fail(SoftwareWriteProtected)
	}
	return true
}

// unknown answers a CDB that is not in the table: an unknown service action is a bad field (SPC-4, section 4.2.5.2).
func (op *Op) unknown() bool {
	if len(table[op.cdb[0]].actions) > 0 {
		return op.badField(1)
	}
	return op.fail(InvalidOpcode)
}

// beginElsewhere answers for a LUN that there is not (SPC-4, sections 6.6.1 and 6.33).
func (op *Op) beginElsewhere() bool {
	if op.cmd == nil {
		return op.fail(LUNotSupported)
	}
	switch op.cmd.opcode {
	case opReportLUNs:
		return op.parse()
	case opInquiry:
		if !op.cmd.parse(op) {
			return false
		}
		op.reply([]byte{0x7f, 0, 6, 2, 31, 35: 0})
		return false
	case opRequestSense:
		op.alloc = int(op.cdb[4])
		op.reply(Sense{Code: LUNotSupported}.Append(nil, op.cdb[1]&1 != 0))
		return false
	}
	return op.fail(LUNotSupported)
}
