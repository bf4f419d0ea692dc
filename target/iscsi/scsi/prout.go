package scsi

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Service actions of PERSISTENT RESERVE OUT (SPC-4, section 6.17).
const (
	proutRegister = iota
	proutReserve
	proutRelease
	proutClear
	proutPreempt
	proutPreemptAbort
	proutRegisterIgnore
	proutRegisterMove
)

// Bits of byte 20 of the basic parameter list.
const (
	proutSpecPorts = 0x08
	proutKeep      = 0x01 // APTPL
)

// proutParams is the parameter list. Of REGISTER AND MOVE, keep and port come from other bytes.
type proutParams struct {
	key, newKey uint64
	keep        bool
	unregister  bool
	port        string
}

func parsePersistOut(op *Op) bool {
	n := int(op.u32(5))
	action := op.cdb[1] & 0x1f
	if action > proutRegisterMove {
		return op.badField(1)
	}
	if n != 24 && action != proutRegisterMove && action != proutRegister && action != proutRegisterIgnore {
		return op.fail(ParameterListLength)
	}
	if n < 24 || n > 4096 {
		return op.fail(ParameterListLength)
	}
	switch action {
	case proutReserve, proutRelease, proutPreempt, proutPreemptAbort:
		if op.cdb[2]>>4 != 0 || !validType(op.cdb[2]&0x0f) {
			return op.badField(2)
		}
	}
	op.Class, op.OutLen, op.OutExact = Other, n, true
	return true
}

func runPersistOut(op *Op, out []byte) {
	u := op.nexus.unit
	q, ok := op.persistParams(out)
	if !ok {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	next := u.mu.pr.clone()
	t := transaction{op: op, pr: &next, was: &u.mu.pr, q: q}
	if !t.run() {
		return
	}
	if err := u.commitLocked(next); err != nil {
		op.fail(InternalTargetFailure)
		return
	}
	for _, a := range t.attentions {
		for n := range u.mu.nexuses {
			if n.port == a.port {
				n.attentionLocked(a.code)
			}
		}
	}
	if t.abort {
		for n := range u.mu.nexuses {
			if n != op.nexus && slices.Contains(t.preempted, n.port) {
				op.Preempted = append(op.Preempted, n)
			}
		}
	}
}

func (op *Op) persistParams(out []byte) (proutParams, bool) {
	q := proutParams{
		key:    binary.BigEndian.Uint64(out),
		newKey: binary.BigEndian.Uint64(out[8:]),
		keep:   out[20]&proutKeep != 0,
	}
	canKeep := op.nexus.unit.id.Persistent != nil
	switch op.cdb[1] & 0x1f {
	case proutRegister, proutRegisterIgnore:
		if out[20]&proutSpecPorts != 0 || (q.keep && !canKeep) {
			return q, op.badParam(InvalidFieldInParams, 20)
		}
		if len(out) != 24 {
			return q, op.fail(ParameterListLength)
		}
	case proutRegisterMove:
		q.keep, q.unregister = out[17]&0x01 != 0, out[17]&0x02 != 0
		if q.keep && !canKeep {
			return q, op.badParam(InvalidFieldInParams, 17)
		}
		port, ok := parseTransportID(out[24:], int(binary.BigEndian.Uint32(out[20:])))
		if !ok {
			return q, op.badParam(InvalidFieldInParams, 24)
		}
		q.port = port
	}
	return q, true
}

// parseTransportID reads the name of an iSCSI initiator port of n bytes (SPC-4, section 7.6.4.6).
func parseTransportID(b []byte, n int) (string, bool) {
	if n < 24 || n > len(b) || b[0] != 0x45 || int(binary.BigEndian.Uint16(b[2:])) != n-4 {
		return "", false
	}
	name, _, ok := bytes.Cut(b[4:n], []byte{0})
	return string(name), ok && len(name) > 0
}

// attention is a unit attention for the nexuses of one initiator port.
type attention struct {
	port string
	code Code
}

// transaction is one PERSISTENT RESERVE OUT on a copy of the state.
type transaction struct {
	op         *Op
	pr         *persistent
	was        *persistent
	q          proutParams
	attentions []attention
	preempted  []string
	abort      bool
}

// run changes pr and returns whether it is to be committed; otherwise the answer is in op.
func (t *transaction) run() bool {
	port, action := t.op.nexus.port, t.op.cdb[1]&0x1f
	key, registered := t.pr.key(port)
	switch action {
	case proutRegisterIgnore:
		return t.register(registered)
	case proutRegister:
		if key != t.q.key { // key is 0 while unregistered
			return t.conflict()
		}
		return t.register(registered)
	}
	if !registered || key != t.q.key {
		return t.conflict()
	}
	switch action {
	case proutReserve:
		return t.reserve()
	case proutRelease:
		return t.release()
	case proutClear:
		t.tellOthers(ReservationsPreempted)
		t.pr.Regs = nil
		t.pr.release()
		t.pr.Generation++
		return true
	case proutRegisterMove:
		return t.move()
	}
	t.abort = action == proutPreemptAbort
	return t.preempt()
}

func (t *transaction) conflict() bool {
	t.op.Status = ReservationConflict
	return false
}

// tellOthers leaves code for all registrants but the one that is served.
func (t *transaction) tellOthers(code Code) {
	for _, r := range t.pr.Regs {
		if r.Port != t.op.nexus.port {
			t.attentions = append(t.attentions, attention{r.Port, code})
		}
	}
}

func (t *transaction) register(registered bool) bool {
	port := t.op.nexus.port
	if t.op.nexus.unit.mu.reserver != nil { // RESERVE(6) is held (SPC-3, table 10)
		return t.conflict()
	}
	if t.q.newKey == 0 && !registered {
		return true
	}
	t.pr.Generation++
	t.pr.Keep = t.q.keep
	if t.q.newKey != 0 {
		t.pr.set(port, t.q.newKey)
		return true
	}
	t.unregister(port)
	return true
}

// unregister removes port. Registrants that had access through a reservation of port learn that it ended (SPC-4,
// section 5.13.11.3).
func (t *transaction) unregister(port string) {
	shared := t.pr.held() && t.pr.forRegs()
	t.pr.drop(func(r registration) bool { return r.Port == port })
	if shared && !t.pr.held() {
		t.tellOthers(ReservationsReleased)
	}
}

func (t *transaction) reserve() bool {
	port, kind := t.op.nexus.port, t.op.cdb[2]&0x0f
	if t.pr.held() {
		if !t.pr.holds(port) || t.pr.Type != kind {
			return t.conflict()
		}
		return true
	}
	t.pr.reserve(port, kind)
	return true
}

func (t *transaction) release() bool {
	port := t.op.nexus.port
	if !t.pr.holds(port) {
		return true
	}
	if t.pr.Type != t.op.cdb[2]&0x0f {
		return t.op.fail(InvalidRelease)
	}
	if t.pr.forRegs() {
		t.tellOthers(ReservationsReleased)
	}
	t.pr.release()
	return true
}

// preempt is SPC-4, section 5.13.11.4.
func (t *transaction) preempt() bool {
	port, kind := t.op.nexus.port, t.op.cdb[2]&0x0f
	victim := t.q.newKey
	holderKey, _ := t.pr.key(t.pr.Holder)
	takes := t.pr.held() && (t.pr.forAll() && victim == 0 || !t.pr.forAll() && victim == holderKey)
	if victim == 0 && !takes {
		return t.op.badParam(InvalidFieldInParams, 8)
	}
	before := t.pr.Type
	t.preempted = t.pr.drop(func(r registration) bool {
		return r.Port != port && (victim == 0 || r.Key == victim)
	})
	if len(t.preempted) == 0 && !takes {
		if key, _ := t.pr.key(port); key != victim {
			return t.conflict()
		}
	}
	for _, p := range t.preempted {
		t.attentions = append(t.attentions, attention{p, RegistrationsPreempted})
	}
	if takes {
		t.pr.reserve(port, kind)
		if before != kind {
			t.tellOthers(ReservationsReleased)
		}
	}
	t.pr.Generation++
	return true
}

// move is REGISTER AND MOVE (SPC-4, section 5.13.8): the reservation goes to another initiator port.
func (t *transaction) move() bool {
	port := t.op.nexus.port
	switch {
	case !t.pr.holds(port) || t.pr.forAll():
		return t.conflict()
	case t.q.newKey == 0:
		return t.op.badParam(InvalidFieldInParams, 8)
	case t.q.port == port:
		return t.op.badParam(InvalidFieldInParams, 24)
	}
	t.pr.set(t.q.port, t.q.newKey)
	t.pr.reserve(t.q.port, t.pr.Type)
	t.pr.Keep = t.q.keep
	t.pr.Generation++
	if t.q.unregister {
		t.unregister(port)
	}
	return true
}
