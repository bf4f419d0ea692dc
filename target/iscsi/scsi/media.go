package scsi

// parseStartStop is SBC-3, section 5.24.
func parseStartStop(op *Op) bool {
	op.Class = Other
	return true
}

// runStartStop flushes when the unit stops, and ejects or loads a removable medium. Power conditions change nothing
// that could be seen.
func runStartStop(op *Op, _ []byte) {
	condition, flags := op.cdb[4]>>4, op.cdb[4]
	start, eject, noFlush := flags&0x01 != 0, flags&0x02 != 0, flags&0x04 != 0
	if condition != 0 {
		return
	}
	if !start && !noFlush && !op.flush() {
		return
	}
	if eject {
		op.loadEject(start)
	}
}

func (op *Op) loadEject(load bool) {
	u := op.nexus.unit
	if !u.id.Removable {
		op.badField(4)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for n := range u.mu.nexuses { // the prevention holds for loading too, as initiators expect it
		if n.prevent {
			op.fail(MediumRemovalPrevented)
			return
		}
	}
	if load && u.mu.ejected {
		u.othersLocked(op.nexus, MediumChanged)
	}
	u.mu.ejected = !load
	u.setGateLocked()
}

// parsePrevent is SPC-4, section 6.15. The prevention ends with the nexus and with a reset.
func parsePrevent(op *Op) bool {
	if op.cdb[4]&0x03 > 1 {
		return op.badField(4)
	}
	return true
}

func runPrevent(op *Op, _ []byte) {
	u := op.nexus.unit
	u.mu.Lock()
	defer u.mu.Unlock()
	op.nexus.prevent = op.cdb[4]&0x01 != 0
}
