package scsi

import (
	"encoding/binary"
	"encoding/hex"
)

// Names in the standard inquiry data (SPC-4, section 6.6.2), padded with spaces.
const (
	vendor  = "WEIR    "
	product = "VOLUME          "
)

// The vital product data pages that are served, in ascending order (SPC-4, section 7.8).
const (
	vpdPages        = 0x00
	vpdSerial       = 0x80
	vpdIdentity     = 0x83
	vpdExtended     = 0x86
	vpdBlockLimits  = 0xb0
	vpdBlockDevice  = 0xb1
	vpdProvisioning = 0xb2
)

func parseInquiry(op *Op) bool {
	op.alloc = int(op.u16(3))
	if op.cdb[1]&0x01 == 0 && op.cdb[2] != 0 { // a page code without EVPD
		return op.badField(2)
	}
	if op.cdb[1]&0x02 != 0 { // CMDDT, obsolete
		return op.badField(1)
	}
	return true
}

func runInquiry(op *Op, _ []byte) {
	u := op.nexus.unit
	if op.cdb[1]&0x01 == 0 {
		op.reply(u.standardInquiry())
		return
	}
	if page, ok := u.vitalPage(op.cdb[2], op.nexus); ok {
		op.reply(page)
		return
	}
	op.badField(2)
}

func (u *Unit) standardInquiry() []byte {
	b := make([]byte, 96)
	if u.id.Removable {
		b[1] = 0x80
	}
	b[2] = 6 // SPC-4
	b[3] = 2 // response data format
	b[4] = byte(len(b) - 5)
	b[5] = 0x10 | 0x08 // TPGS: implicit ALUA; 3PC
	b[7] = 0x02        // CMDQUE
	copy(b[8:], vendor)
	copy(b[16:], product)
	copy(b[32:36], u.id.Revision+"    ")
	for i, v := range []uint16{
		0x00a0, // SAM-5
		0x0960, // iSCSI
		0x0460, // SPC-4
		0x04c0, // SBC-3
	} {
		binary.BigEndian.PutUint16(b[58+2*i:], v)
	}
	return b
}

func (u *Unit) vitalPage(page byte, n *Nexus) ([]byte, bool) {
	var body []byte
	switch page {
	case vpdPages:
		body = []byte{vpdPages, vpdSerial, vpdIdentity, vpdExtended, vpdBlockLimits, vpdBlockDevice, vpdProvisioning}
	case vpdSerial:
		body = []byte(u.id.Serial)
	case vpdIdentity:
		body = u.designators()
	case vpdExtended:
		body = make([]byte, 60)
		body[1] = 0x01 // SIMPSUP: commands run at the same time, whatever their task attribute
		body[2] = 0x01 // V_SUP: there is a volatile cache
	case vpdBlockLimits:
		body = u.blockLimits()
	case vpdBlockDevice:
		body = make([]byte, 60)
		binary.BigEndian.PutUint16(body, 1) // non-rotating medium
	case vpdProvisioning:
		// UNMAP, WRITE SAME (16) and (10) unmap; unmapped blocks read as zeroes; thin (SBC-3, section 6.6.6)
		body = []byte{0, 0x80 | 0x40 | 0x20 | 0x04, 0x02, 0}
	default:
		return nil, false
	}
	b := make([]byte, 4, 4+len(body))
	b[1] = page
	binary.BigEndian.PutUint16(b[2:], uint16(len(body)))
	return append(b, body...), true
}

// blockLimits is the body of page B0 (SBC-3, section 6.6.4).
func (u *Unit) blockLimits() []byte {
	b := make([]byte, 60)
	b[0] = 0x01 // WSNZ: a WRITE SAME of zero blocks is refused
	b[1] = maxCompare
	binary.BigEndian.PutUint16(b[2:], 1<<u.perPhysical())
	binary.BigEndian.PutUint32(b[4:], u.inBlocks(MaxTransfer))
	binary.BigEndian.PutUint32(b[8:], u.inBlocks(optTransfer))
	binary.BigEndian.PutUint32(b[16:], u.inBlocks(maxUnmap))
	binary.BigEndian.PutUint32(b[20:], unmapDescriptors)
	binary.BigEndian.PutUint32(b[24:], 1<<u.perPhysical())
	binary.BigEndian.PutUint32(b[28:], 0x80000000) // UGAVALID, alignment 0
	binary.BigEndian.PutUint64(b[32:], uint64(u.inBlocks(maxWriteSame)))
	binary.BigEndian.PutUint32(b[40:], u.inBlocks(int64(u.id.AtomicMax)))
	return b
}

// designators is the body of page 83 (SPC-4, section 7.8.6): of the unit a locally assigned NAA name, a vendor name,
// a UUID and a SCSI name string; of the port its relative number, its group and its name.
func (u *Unit) designators() []byte {
	names := u.shortNames()
	port := []byte{0, 0, byte(u.id.PortGroup >> 8), byte(u.id.PortGroup)}

	var b []byte
	b = appendDesignator(b, 0x01, 0x03, names[0].name)
	b = appendDesignator(b, 0x02, 0x01, []byte(vendor+hex.EncodeToString(u.id.ID[:])))
	b = appendDesignator(b, 0x01, 0x0a, names[1].name)
	b = appendDesignator(b, 0x53, 0x08, nameString(u.id.Name+",L,0x0000000000000000"))
	b = appendDesignator(b, 0x51, 0x94, port)
	b = appendDesignator(b, 0x51, 0x95, port)
	return appendDesignator(b, 0x53, 0x98, nameString(u.id.Name+",t,0x"+hex.EncodeToString(port[2:])))
}

// appendDesignator appends one descriptor: code set with the iSCSI protocol identifier, PIV, association and type.
func appendDesignator(b []byte, codeSet, kind byte, v []byte) []byte {
	v = v[:min(len(v), 252)]
	return append(append(b, codeSet, kind, 0, byte(len(v))), v...)
}

// nameString ends a SCSI name string with a zero byte and pads it to a multiple of four (SPC-4, section 7.8.6.11).
func nameString(s string) []byte {
	b := append([]byte(s), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
