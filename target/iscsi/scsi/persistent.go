package scsi

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Store keeps a unit's persistent reservations across restarts (APTPL, SPC-4 section 5.13.5). Save returns when the
// record is on stable storage; a nil record removes it. Load returns nil if there is none.
type Store interface {
	Load(id [16]byte) ([]byte, error)
	Save(id [16]byte, record []byte) error
}

// Types of persistent reservation (SPC-4, table 63).
const (
	writeExclusive        = 1
	exclusiveAccess       = 3
	writeExclusiveRegs    = 5
	exclusiveAccessRegs   = 6
	writeExclusiveAllRegs = 7
	exclusiveAccessAll    = 8
)

func validType(t byte) bool {
	switch t {
	case writeExclusive, exclusiveAccess, writeExclusiveRegs, exclusiveAccessRegs, writeExclusiveAllRegs, exclusiveAccessAll:
		return true
	}
	return false
}

// registration binds an initiator port to its key.
type registration struct {
	Port string `json:"port"`
	Key  uint64 `json:"key"`
}

// persistent is the state of persistent reservations of one unit (SPC-4, section 5.13). The target has one port, so
// an initiator port stands for an I_T nexus.
//
// Invariant: Type is 0 if and only if nothing is reserved. Holder is registered, or empty when Type is 0 or one where
// every registrant holds the reservation.
type persistent struct {
	Generation uint32         `json:"-"`
	Regs       []registration `json:"registrations"`
	Type       byte           `json:"type"`
	Holder     string         `json:"holder"`
	Keep       bool           `json:"-"` // APTPL of the last registration
}

func (p *persistent) held() bool       { return p.Type != 0 }
func (p *persistent) registrants() int { return len(p.Regs) }

// forAll reports whether all registrants hold the reservation.
func (p *persistent) forAll() bool {
	return p.Type == writeExclusiveAllRegs || p.Type == exclusiveAccessAll
}

// forRegs reports whether registrants that do not hold the reservation have access too.
func (p *persistent) forRegs() bool { return p.Type >= writeExclusiveRegs }

func (p *persistent) find(port string) int {
	return slices.IndexFunc(p.Regs, func(r registration) bool { return r.Port == port })
}

func (p *persistent) key(port string) (uint64, bool) {
	if i := p.find(port); i >= 0 {
		return p.Regs[i].Key, true
	}
	return 0, false
}

func (p *persistent) holds(port string) bool {
	if p.forAll() {
		return p.find(port) >= 0
	}
	return p.held() && p.Holder == port
}

// conflicts reports whether a command of port with access a conflicts with the reservation (SPC-4, table 66).
func (p *persistent) conflicts(port string, a access) bool {
	if !p.held() || a == accessFree || a == accessReady || p.holds(port) {
		return false
	}
	if p.forRegs() && p.find(port) >= 0 {
		return false
	}
	switch p.Type {
	case writeExclusive, writeExclusiveRegs, writeExclusiveAllRegs:
		return a == accessWrite || a == accessAdmin
	}
	return true
}

func (p *persistent) set(port string, key uint64) {
	if i := p.find(port); i >= 0 {
		p.Regs[i].Key = key
		return
	}
	p.Regs = append(p.Regs, registration{port, key})
}

// reserve makes port the holder of a reservation of type t.
func (p *persistent) reserve(port string, t byte) {
	p.Type, p.Holder = t, port
	if p.forAll() {
		p.Holder = ""
	}
}

func (p *persistent) release() { p.Type, p.Holder = 0, "" }

// drop removes the registrations that match and returns their ports; a reservation without its holder, or without any
// registrant, ends.
func (p *persistent) drop(match func(registration) bool) []string {
	var ports []string
	p.Regs = slices.DeleteFunc(p.Regs, func(r registration) bool {
		if match(r) {
			ports = append(ports, r.Port)
			return true
		}
		return false
	})
	if p.held() && (len(p.Regs) == 0 || (!p.forAll() && slices.Contains(ports, p.Holder))) {
		p.release()
	}
	return ports
}

// clone returns a copy that shares nothing.
func (p *persistent) clone() persistent {
	c := *p
	c.Regs = slices.Clone(p.Regs)
	return c
}

// commitLocked makes next the state. When it is to be kept across restarts it is saved first; if that fails nothing
// has changed.
func (u *Unit) commitLocked(next persistent) error {
	if u.id.Persistent != nil && (next.Keep || u.mu.pr.Keep) {
		var record []byte
		if next.Keep {
			var err error
			if record, err = json.Marshal(next); err != nil {
				return fmt.Errorf("encoding reservations: %w", err)
			}
		}
		if err := u.id.Persistent.Save(u.id.ID, record); err != nil {
			return fmt.Errorf("saving reservations: %w", err)
		}
	}
	u.mu.pr = next
	u.setGateLocked()
	return nil
}

func (u *Unit) loadReservations() error {
	if u.id.Persistent == nil {
		return nil
	}
	record, err := u.id.Persistent.Load(u.id.ID)
	if err != nil {
		return fmt.Errorf("loading reservations: %w", err)
	}
	if record == nil {
		return nil
	}
	var p persistent
	if err := json.Unmarshal(record, &p); err != nil {
		return fmt.Errorf("reading reservations: %w", err)
	}
	if p.Type != 0 && (!validType(p.Type) || (!p.forAll() && p.find(p.Holder) < 0)) {
		return fmt.Errorf("reading reservations: type %d held by %q among %d registrations", p.Type, p.Holder, len(p.Regs))
	}
	p.Keep = true
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.pr = p
	u.setGateLocked()
	return nil
}
