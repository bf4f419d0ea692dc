package scsi

import (
	"slices"
	"sync/atomic"
)

// attentionsMax bounds the unit attentions that wait for one nexus; of further ones the last is dropped.
const attentionsMax = 16

// Nexus is one initiator port's way to a Unit.
type Nexus struct {
	unit *Unit
	port string // initiator port name

	waiting atomic.Int32 // number of unit attentions
	size    atomic.Int64 // device size that the initiator knows, in bytes
	reader  bool         // may not write; set before the first command

	// Guarded by unit.mu.
	attentions []Code
	prevent    bool // PREVENT ALLOW MEDIUM REMOVAL
	copies     []copyStatus
}

// Port returns the name of the initiator port.
func (n *Nexus) Port() string { return n.port }

// Unit returns the unit that n leads to.
func (n *Nexus) Unit() *Unit { return n.unit }

// ReadOnly makes the unit write-protected for this nexus. It is called before the first command.
func (n *Nexus) ReadOnly() { n.reader = true }

// WriteProtected reports whether the unit is write-protected for this nexus, or for all.
func (n *Nexus) WriteProtected() bool { return n.reader || n.unit.dev.ReadOnly() }

// Detach ends the nexus: what it reserved with RESERVE(6) or prevented is released (SPC-2, section 5.5.1; SAM-5,
// section 6.3.4). Persistent reservations stay.
func (n *Nexus) Detach() {
	u := n.unit
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.mu.nexuses, n)
	if u.mu.reserver == n {
		u.mu.reserver = nil
	}
	u.setGateLocked()
}

// attentionLocked queues a unit attention, once.
func (n *Nexus) attentionLocked(c Code) {
	if slices.Contains(n.attentions, c) || len(n.attentions) == attentionsMax {
		return
	}
	n.attentions = append(n.attentions, c)
	n.waiting.Store(int32(len(n.attentions)))
}

// takeAttention removes the oldest unit attention.
func (n *Nexus) takeAttention() (Code, bool) {
	n.unit.mu.Lock()
	defer n.unit.mu.Unlock()
	if len(n.attentions) == 0 {
		return 0, false
	}
	c := n.attentions[0]
	n.attentions = slices.Delete(n.attentions, 0, 1)
	n.waiting.Store(int32(len(n.attentions)))
	return c, true
}

// noticeSize queues a unit attention when the device has another size than the initiator knows (SBC-3, section 4.2.3).
func (n *Nexus) noticeSize() {
	now := n.unit.dev.Size()
	if n.size.Swap(now) != now {
		n.unit.mu.Lock()
		n.attentionLocked(CapacityChanged)
		n.unit.mu.Unlock()
	}
}
