package scsi

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync/atomic"
)

// Mode pages (SPC-4, section 7.5; SBC-3, section 6.5).
const (
	pageErrorRecovery = 0x01
	pageDisconnect    = 0x02
	pageCaching       = 0x08
	pageControl       = 0x0a
	pageExceptions    = 0x1c
	pageAll           = 0x3f
)

// Values of PC in MODE SENSE (SPC-4, section 6.11.1).
const (
	valuesCurrent = iota
	valuesChangeable
	valuesDefault
	valuesSaved
)

// modeState is what MODE SELECT can change, kept where the hot path can read it without a lock.
type modeState struct {
	cache   atomic.Bool // WCE: a write is stable only after SYNCHRONIZE CACHE
	protect atomic.Bool // SWP: the unit is write-protected
	dSense  atomic.Bool // D_SENSE: sense data in descriptor format
}

// reset sets the defaults. The cache is on: a plain write survives the death of the process but not power loss.
func (m *modeState) reset() {
	m.cache.Store(true)
	m.protect.Store(false)
	m.dSense.Store(false)
}

// modePage returns a page with the kind of values asked for; nil if there is no such page.
func (u *Unit) modePage(page byte, values int) []byte {
	bit := func(current *atomic.Bool, def bool, mask byte) byte {
		if values == valuesChangeable || values == valuesDefault && def || values == valuesCurrent && current.Load() {
			return mask
		}
		return 0
	}
	changeable := values == valuesChangeable
	var b []byte
	switch page {
	case pageErrorRecovery:
		b = []byte{page, 10, 11: 0}
		if !changeable {
			b[2] = 0x80 // AWRE
		}
	case pageDisconnect:
		b = []byte{page, 14, 15: 0}
	case pageCaching:
		b = []byte{page, 18, bit(&u.modes.cache, true, 0x04), 19: 0}
	case pageControl:
		b = []byte{page, 10, bit(&u.modes.dSense, false, 0x04), 0, bit(&u.modes.protect, false, 0x08), 11: 0}
		if !changeable {
			b[3] = 0x10             // unrestricted reordering: commands run at the same time
			b[8], b[9] = 0xff, 0xff // busy timeout: unlimited
			b[2] |= 0x02            // GLTSD
			b[5] &^= 0x40           // TAS off: aborted commands of others end without a status
			binary.BigEndian.PutUint16(b[10:], 0)
		}
	case pageExceptions:
		b = []byte{page, 10, 11: 0}
	}
	return b
}

var modePages = []byte{pageErrorRecovery, pageDisconnect, pageCaching, pageControl, pageExceptions}

// pages returns what page and subpage ask for.
func (op *Op) pages(page, subpage byte, values int) ([]byte, bool) {
	u := op.nexus.unit
	if page == pageAll {
		if subpage != 0 && subpage != 0xff {
			return nil, false
		}
		var all []byte
		for _, p := range modePages {
			all = append(all, u.modePage(p, values)...)
		}
		return all, true
	}
	if subpage != 0 && subpage != 0xff {
		return nil, false
	}
	b := u.modePage(page, values)
	return b, b != nil
}

func parseModeSense6(op *Op) bool {
	op.alloc = int(op.cdb[4])
	return op.modeValues()
}

func parseModeSense10(op *Op) bool {
	op.alloc = int(op.u16(7))
	return op.modeValues()
}

func (op *Op) modeValues() bool {
	if op.cdb[2]>>6 == valuesSaved {
		return op.fail(SavingNotSupported)
	}
	return true
}

// deviceSpecific is the byte of SBC-3, section 6.5.1: WP and DPOFUA.
func (n *Nexus) deviceSpecific() byte {
	b, u := byte(0x10), n.unit
	if n.reader || u.dev.ReadOnly() || u.modes.protect.Load() {
		b |= 0x80
	}
	return b
}

// blockDescriptor is a short or long LBA mode parameter block descriptor (SBC-3, section 6.5.2).
func (u *Unit) blockDescriptor(long bool) []byte {
	blocks := u.lastLBA() + 1
	if long {
		b := make([]byte, 16)
		binary.BigEndian.PutUint64(b, blocks)
		binary.BigEndian.PutUint32(b[12:], uint32(u.blockSize))
		return b
	}
	b := make([]byte, 8)
	binary.BigEndian.PutUint32(b, uint32(min(blocks, math.MaxUint32)))
	binary.BigEndian.PutUint32(b[4:], uint32(u.blockSize))
	return b
}

func runModeSense6(op *Op, _ []byte) {
	u := op.nexus.unit
	pages, ok := op.pages(op.cdb[2]&0x3f, op.cdb[3], int(op.cdb[2]>>6))
	if !ok {
		op.badField(2)
		return
	}
	b := []byte{0, 0, op.nexus.deviceSpecific(), 0}
	if op.cdb[1]&0x08 == 0 { // DBD
		b[3] = 8
		b = append(b, u.blockDescriptor(false)...)
	}
	b = append(b, pages...)
	b[0] = byte(len(b) - 1)
	op.reply(b)
}

func runModeSense10(op *Op, _ []byte) {
	u := op.nexus.unit
	pages, ok := op.pages(op.cdb[2]&0x3f, op.cdb[3], int(op.cdb[2]>>6))
	if !ok {
		op.badField(2)
		return
	}
	b := []byte{0, 0, 0, op.nexus.deviceSpecific(), 0, 0, 0, 0}
	if op.cdb[1]&0x08 == 0 {
		long := op.cdb[1]&0x10 != 0 // LLBAA
		if long {
			b[4] = 0x01
		}
		d := u.blockDescriptor(long)
		b[7] = byte(len(d))
		b = append(b, d...)
	}
	b = append(b, pages...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	op.reply(b)
}

func parseModeSelect6(op *Op) bool  { return op.modeList(int(op.cdb[4])) }
func parseModeSelect10(op *Op) bool { return op.modeList(int(op.u16(7))) }

// modeList checks PF and SP: pages are in the standard format and are not saved (SPC-4, section 6.9).
func (op *Op) modeList(n int) bool {
	if op.cdb[1]&0x10 == 0 || op.cdb[1]&0x01 != 0 {
		return op.badField(1)
	}
	op.Class, op.OutLen = Other, n
	return true
}

func runModeSelect6(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	if len(out) < 4 {
		op.fail(ParameterListLength)
		return
	}
	op.selectPages(out, 4, int(out[3]), 8)
}

func runModeSelect10(op *Op, out []byte) {
	if len(out) == 0 {
		return
	}
	if len(out) < 8 {
		op.fail(ParameterListLength)
		return
	}
	descriptor := 8
	if out[4]&1 != 0 {
		descriptor = 16
	}
	op.selectPages(out, 8, int(binary.BigEndian.Uint16(out[6:])), descriptor)
}

// selectPages checks the whole list before it changes anything (SPC-4, section 6.9.1). A block descriptor must repeat
// what MODE SENSE returns, since the format of the medium can not change.
func (op *Op) selectPages(list []byte, at, descLen, descSize int) {
	u := op.nexus.unit
	if at+descLen > len(list) {
		op.fail(ParameterListLength)
		return
	}
	if descLen != 0 && (descLen != descSize || !bytes.Equal(list[at:at+descLen], u.blockDescriptor(descSize == 16))) {
		op.badParam(InvalidFieldInParams, at)
		return
	}
	first := at + descLen
	for at = first; at < len(list); {
		n := op.checkPage(list, at)
		if n == 0 {
			return
		}
		at += n
	}
	if first == len(list) {
		return
	}
	cached := u.modes.cache.Load()
	u.applyPages(op.nexus, list[first:])
	if cached && !u.modes.cache.Load() {
		op.flush() // from here on every answered write is stable
	}
}

func (u *Unit) applyPages(by *Nexus, list []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for ; len(list) > 0; list = list[2+int(list[1]):] {
		u.applyPage(list)
	}
	u.setGateLocked()
	u.othersLocked(by, ModeParametersChanged)
}

// checkPage checks the page at list[at:] against what can be changed and returns its length, 0 after a failure.
func (op *Op) checkPage(list []byte, at int) int {
	u := op.nexus.unit
	if len(list)-at < 2 || len(list)-at < 2+int(list[at+1]) {
		op.fail(ParameterListLength)
		return 0
	}
	n := 2 + int(list[at+1])
	current := u.modePage(list[at]&0x3f, valuesCurrent)
	mask := u.modePage(list[at]&0x3f, valuesChangeable)
	if current == nil || len(current) != n || list[at]&0x40 != 0 {
		op.badParam(InvalidFieldInParams, at)
		return 0
	}
	for i := 2; i < n; i++ {
		if (list[at+i]^current[i])&^mask[i] != 0 {
			op.badParam(InvalidFieldInParams, at+i)
			return 0
		}
	}
	return n
}

func (u *Unit) applyPage(p []byte) {
	switch p[0] & 0x3f {
	case pageCaching:
		u.modes.cache.Store(p[2]&0x04 != 0)
	case pageControl:
		u.modes.dSense.Store(p[2]&0x04 != 0)
		u.modes.protect.Store(p[4]&0x08 != 0)
	}
}
