package scsi

import (
	"encoding/binary"
	"slices"
)

// Limits of EXTENDED COPY that the operating parameters tell (SPC-4, section 6.24.4).
const (
	copyTargets     = 8
	copySegments    = 64
	copyHeader      = 16
	copyTargetLen   = 32 // of a target descriptor
	copySegmentLen  = 28 // of a block to block segment descriptor
	copyDescriptors = copyTargets*copyTargetLen + copySegments*copySegmentLen
	copySegmentMax  = 0xffff * 4096 // bytes that one segment can name
	copyStatusKept  = 16            // list identifiers remembered for each nexus

	copyTypeIdentity   = 0xe4 // target descriptor: identification descriptor
	copyTypeBlockBlock = 0x02 // segment descriptor: block device to block device
)

// copyStatus is what RECEIVE COPY STATUS tells of a copy that has ended.
type copyStatus struct {
	id       byte
	failed   bool
	segments int
	bytes    int64
}

// segment is a block to block segment descriptor (SPC-4, section 6.4.6.2), in bytes.
type segment struct {
	from, to       *Unit
	src, dst, size int64
}

// parseExtendedCopy is SPC-4, section 6.3: third-party copy with a list identifier of one byte.
func parseExtendedCopy(op *Op) bool {
	n := op.u32(10)
	if n > copyHeader+copyDescriptors+4096 {
		return op.fail(ParameterListLength)
	}
	op.Class, op.OutLen, op.OutExact = Other, int(n), true
	return true
}

func runExtendedCopy(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	targets, segments, ok := op.copyLists(out)
	if !ok {
		return
	}
	status := copyStatus{id: out[0]}
	for at := 0; at < len(segments) && op.Status == Good && !op.aborted.Load(); at += copySegmentLen {
		if s, ok := op.segment(segments[at:], targets); ok && op.copySegment(s) {
			status.segments++
			status.bytes += s.size
		}
	}
	status.failed = op.Status != Good
	if out[1]>>3&3 < 2 { // LIST ID USAGE: the identifier is held
		op.nexus.remember(status)
	}
}

// copyLists checks the parameter list (SPC-4, section 6.4) and returns target and segment descriptors.
func (op *Op) copyLists(out []byte) (targets, segments []byte, ok bool) {
	if len(out) < copyHeader {
		return nil, nil, op.fail(ParameterListLength)
	}
	nt, ns := int(binary.BigEndian.Uint16(out[2:])), int64(binary.BigEndian.Uint32(out[8:]))
	inline := binary.BigEndian.Uint32(out[12:])
	rest := int64(len(out) - copyHeader)
	switch {
	case int64(nt)+ns > copyDescriptors+copyTargetLen, int64(nt)+ns > rest:
		return nil, nil, op.fail(ParameterListLength)
	case inline > 0:
		return nil, nil, op.fail(InlineDataExceeded)
	case nt%copyTargetLen != 0:
		return nil, nil, op.badParam(InvalidFieldInParams, 2)
	case nt > copyTargets*copyTargetLen:
		return nil, nil, op.fail(TooManyTargetDescriptors)
	}
	targets, segments = out[copyHeader:][:nt], out[copyHeader+nt:][:ns]
	for at := 0; at < nt; at += copyTargetLen {
		if targets[at] != copyTypeIdentity {
			return nil, nil, op.badParam(UnsupportedTargetType, copyHeader+at)
		}
	}
	for at := 0; at < len(segments); at += copySegmentLen {
		switch {
		case segments[at] != copyTypeBlockBlock:
			return nil, nil, op.badParam(UnsupportedSegmentType, copyHeader+nt+at)
		case len(segments)-at < copySegmentLen:
			return nil, nil, op.fail(ParameterListLength)
		case at >= copySegments*copySegmentLen:
			return nil, nil, op.fail(TooManySegments)
		}
	}
	return targets, segments, true
}

// segment reads a segment descriptor. What it can not reach aborts the copy.
func (op *Op) segment(b, targets []byte) (segment, bool) {
	s := segment{
		from: op.copyUnit(targets, binary.BigEndian.Uint16(b[4:])),
		to:   op.copyUnit(targets, binary.BigEndian.Uint16(b[6:])),
	}
	if s.from == nil || s.to == nil || !s.from.allows(op.nexus.port, accessRead) ||
		op.nexus.reader || !s.to.allows(op.nexus.port, accessWrite) {
		return s, op.fail(CopyTargetNotReachable)
	}
	count := s.from // DC: which side's blocks the length counts
	if b[1]&0x02 != 0 {
		count = s.to
	}
	src, dst := binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:])
	s.size = int64(binary.BigEndian.Uint16(b[10:])) * int64(count.blockSize)
	if !s.from.holds(src, s.size) || !s.to.holds(dst, s.size) {
		return s, op.fail(CopyTargetNotReachable)
	}
	s.src, s.dst = int64(src)*int64(s.from.blockSize), int64(dst)*int64(s.to.blockSize)
	return s, true
}

// holds reports whether n bytes from lba on lie within the unit, in whole blocks.
func (u *Unit) holds(lba uint64, n int64) bool {
	blocks := u.lastLBA() + 1
	return n%int64(u.blockSize) == 0 && lba <= blocks && uint64(n/int64(u.blockSize)) <= blocks-lba
}

// allows reports whether reservations and write protection let an initiator port have access.
func (u *Unit) allows(port string, a access) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if r := u.mu.reserver; (r != nil && r.port != port) || u.mu.pr.conflicts(port, a) || u.mu.ejected {
		return false
	}
	return a != accessWrite || (!u.dev.ReadOnly() && !u.modes.protect.Load())
}

// copyUnit finds the unit of a target descriptor by its designator (SPC-4, section 6.4.5.3); nil if it is not ours.
func (op *Op) copyUnit(targets []byte, index uint16) *Unit {
	if int(index) >= len(targets)/copyTargetLen {
		return nil
	}
	d := targets[int(index)*copyTargetLen+4:][:24]
	kind, n := d[1]&0x0f, int(d[3])
	if n > 20 {
		return nil
	}
	own := op.nexus.unit
	name := d[4 : 4+n]
	if slices.ContainsFunc(own.shortNames(), func(s shortName) bool { return s.kind == kind && slices.Equal(s.name, name) }) {
		return own
	}
	if kind == 0x0a && n == 18 && own.id.Peer != nil {
		return own.id.Peer(op.nexus.port, [16]byte(name[2:]))
	}
	return nil
}

// shortName is a designator that fits a target descriptor.
type shortName struct {
	kind byte
	name []byte
}

func (u *Unit) shortNames() []shortName {
	naa := u.id.ID
	naa[0] = 0x30 | naa[0]&0x0f // NAA 3h: locally assigned
	return []shortName{{0x03, naa[:8]}, {0x0a, append([]byte{0x10, 0}, u.id.ID[:]...)}}
}

// copySegment copies in steps; from the end if the ranges overlap so that a step would overwrite what is still to be
// read.
func (op *Op) copySegment(s segment) bool {
	buf := scratch.Get().(*[step]byte)
	defer scratch.Put(buf)
	backward := s.from == s.to && s.src < s.dst
	for done := int64(0); done < s.size; done += step {
		n := min(step, s.size-done)
		at := done
		if backward {
			at = s.size - done - n
		}
		if op.aborted.Load() || !op.copyStep(s, at, buf[:n]) {
			return false
		}
	}
	return true
}

func (op *Op) copyStep(s segment, at int64, buf []byte) bool {
	if err := s.from.dev.ReadAt(buf, s.src+at); err != nil {
		op.fault(err, UnrecoveredReadError, s.src+at)
		return false
	}
	s.to.ranges.lock(&op.span, s.dst+at, int64(len(buf)), false)
	defer s.to.ranges.unlock(&op.span)
	if err := s.to.dev.WriteAt(buf, s.dst+at, !s.to.modes.cache.Load()); err != nil {
		op.fault(err, WriteError, s.dst+at)
		return false
	}
	return true
}

// remember keeps the status of a copy that has ended; of too many the oldest is forgotten.
func (n *Nexus) remember(s copyStatus) {
	n.unit.mu.Lock()
	defer n.unit.mu.Unlock()
	n.copies = slices.DeleteFunc(n.copies, func(o copyStatus) bool { return o.id == s.id })
	if len(n.copies) == copyStatusKept {
		n.copies = slices.Delete(n.copies, 0, 1)
	}
	n.copies = append(n.copies, s)
}

func parseReceiveCopy(op *Op) bool {
	op.alloc = int(op.u32(10))
	return true
}

// runCopyStatus is SPC-4, section 6.24.2.
func runCopyStatus(op *Op, _ []byte) {
	n := op.nexus
	n.unit.mu.Lock()
	defer n.unit.mu.Unlock()
	i := slices.IndexFunc(n.copies, func(s copyStatus) bool { return s.id == op.cdb[2] })
	if i < 0 {
		op.badField(2)
		return
	}
	s := n.copies[i]
	n.copies = slices.Delete(n.copies, i, i+1)
	b := make([]byte, 12)
	b[3] = 8
	b[4] = 1 // ended without errors
	if s.failed {
		b[4] = 2
	}
	binary.BigEndian.PutUint16(b[5:], uint16(s.segments))
	b[7] = 1 // the count is in KiB
	binary.BigEndian.PutUint32(b[8:], uint32(s.bytes>>10))
	op.reply(b)
}

// runCopyParameters is SPC-4, section 6.24.4.
func runCopyParameters(op *Op, _ []byte) {
	b := make([]byte, 46)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	b[4] = 0x01 // SNLID: a list identifier is not needed
	binary.BigEndian.PutUint16(b[8:], copyTargets)
	binary.BigEndian.PutUint16(b[10:], copySegments)
	binary.BigEndian.PutUint32(b[12:], copyDescriptors)
	binary.BigEndian.PutUint32(b[16:], copySegmentMax)
	binary.BigEndian.PutUint16(b[34:], 0xffff) // copies at a time, of all initiators
	b[36] = 0xff                               // and of one
	b[37] = 9                                  // granularity of data segments, log2
	b[43] = 2
	b[44], b[45] = copyTypeBlockBlock, copyTypeIdentity
	op.reply(b)
}
