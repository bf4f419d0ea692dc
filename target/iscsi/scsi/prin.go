package scsi

import "encoding/binary"

// Service actions of PERSISTENT RESERVE IN (SPC-4, section 6.16).
const (
	prinReadKeys = iota
	prinReadReservation
	prinCapabilities
	prinFullStatus
)

func parsePersistIn(op *Op) bool {
	op.alloc = int(op.u16(7))
	if op.cdb[1]&0x1f > prinFullStatus {
		return op.badField(1)
	}
	return true
}

func runPersistIn(op *Op, _ []byte) {
	u := op.nexus.unit
	u.mu.Lock()
	defer u.mu.Unlock()
	switch op.cdb[1] & 0x1f {
	case prinReadKeys:
		op.reply(u.mu.pr.readKeys())
	case prinReadReservation:
		op.reply(u.mu.pr.readReservation())
	case prinCapabilities:
		op.reply(u.capabilitiesLocked())
	case prinFullStatus:
		op.reply(u.fullStatusLocked())
	}
}

// list returns body behind the header of generation and length.
func (p *persistent) list(body []byte) []byte {
	b := make([]byte, 8, 8+len(body))
	binary.BigEndian.PutUint32(b, p.Generation)
	binary.BigEndian.PutUint32(b[4:], uint32(len(body)))
	return append(b, body...)
}

func (p *persistent) readKeys() []byte {
	var body []byte
	for _, r := range p.Regs {
		body = binary.BigEndian.AppendUint64(body, r.Key)
	}
	return p.list(body)
}

func (p *persistent) readReservation() []byte {
	if !p.held() {
		return p.list(nil)
	}
	body := make([]byte, 16)
	key, _ := p.key(p.Holder) // 0 when all registrants hold it
	binary.BigEndian.PutUint64(body, key)
	body[13] = p.Type
	return p.list(body)
}

// capabilitiesLocked is SPC-4, section 6.16.4.
func (u *Unit) capabilitiesLocked() []byte {
	b := []byte{0, 8, 0x04, 0x80, 0xea, 0x01, 0, 0} // ATP_C; TMV; all types
	if u.id.Persistent != nil {
		b[2] |= 0x01 // PTPL_C
	}
	if u.mu.pr.Keep {
		b[3] |= 0x01 // PTPL_A
	}
	return b
}

// fullStatusLocked is SPC-4, section 6.16.5.
func (u *Unit) fullStatusLocked() []byte {
	p := &u.mu.pr
	var body []byte
	for _, r := range p.Regs {
		d := make([]byte, 24)
		binary.BigEndian.PutUint64(d, r.Key)
		if p.holds(r.Port) {
			d[12] = 0x01 // R_HOLDER
			d[13] = p.Type
		}
		binary.BigEndian.PutUint16(d[18:], u.id.PortGroup)
		id := transportID(r.Port)
		binary.BigEndian.PutUint32(d[20:], uint32(len(id)))
		body = append(append(body, d...), id...)
	}
	return p.list(body)
}

// transportID is the name of an iSCSI initiator port (SPC-4, section 7.6.4.6).
func transportID(port string) []byte {
	name := nameString(port)
	for len(name) < 20 {
		name = append(name, 0)
	}
	b := []byte{0x45, 0, 0, 0} // format 01b, protocol 5h
	binary.BigEndian.PutUint16(b[2:], uint16(len(name)))
	return append(b, name...)
}
