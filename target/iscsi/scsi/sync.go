package scsi

func parseSync10(op *Op) bool { return op.parseSync(uint64(op.u32(2)), uint64(op.u16(7))) }
func parseSync16(op *Op) bool { return op.parseSync(op.u64(2), uint64(op.u32(10))) }

// parseSync checks the range, where a length of 0 means up to the end (SBC-3, section 5.25).
func (op *Op) parseSync(lba, blocks uint64) bool {
	op.Class = Other
	return op.place(lba, blocks)
}

// runSync makes all writes stable, not only those of the range. IMMED is answered as late as without it.
func runSync(op *Op, _ []byte) { op.flush() }

func parsePreFetch10(op *Op) bool { return op.place(uint64(op.u32(2)), uint64(op.u16(7))) }
func parsePreFetch16(op *Op) bool { return op.place(op.u64(2), uint64(op.u32(10))) }

// runPreFetch reads nothing: there is no cache of its own to fill, which GOOD says, against CONDITION MET (SBC-3,
// section 5.10).
func runPreFetch(*Op, []byte) {}
