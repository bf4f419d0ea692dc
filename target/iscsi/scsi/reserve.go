package scsi

// RESERVE(6) and RELEASE(6) of SPC-2, section 5.5 and 7.21: the whole unit for one nexus. While persistent
// reservations have registrants they are refused (SPC-3, table 10).

func parseReserve6(op *Op) bool {
	if op.cdb[1]&0x1f != 0 { // third party, extents: obsolete
		return op.badField(1)
	}
	return true
}

func runReserve6(op *Op, _ []byte) {
	u := op.nexus.unit
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.pr.registrants() > 0 || (u.mu.reserver != nil && u.mu.reserver != op.nexus) {
		op.Status = ReservationConflict
		return
	}
	u.mu.reserver = op.nexus
	u.setGateLocked()
}

func runRelease6(op *Op, _ []byte) {
	u := op.nexus.unit
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.mu.pr.registrants() > 0 {
		op.Status = ReservationConflict
		return
	}
	if u.mu.reserver == op.nexus {
		u.mu.reserver = nil
		u.setGateLocked()
	}
}
