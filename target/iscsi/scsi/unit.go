package scsi

import (
	"encoding/hex"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/target"
)

// Limits that the block limits page tells (SBC-3, section 6.6.4), in bytes.
const (
	MaxTransfer   = 8 << 20   // one READ, WRITE, VERIFY with data, ORWRITE
	optTransfer   = 1 << 20   // best size of a transfer
	maxCompare    = 255       // COMPARE AND WRITE, in blocks: its field has 8 bits
	maxWriteSame  = 16 << 20  // one WRITE SAME
	maxUnmap      = 512 << 20 // one UNMAP
	physicalBlock = 4096      // granularity at which the write path works best
)

// Identity is what a unit says of itself.
type Identity struct {
	ID         [16]byte // never given to another volume
	Serial     string   // unit serial number; the hexadecimal ID if empty
	Name       string   // iSCSI name of the target
	Revision   string   // product revision, 4 characters
	PortGroup  uint16   // target portal group, which is the relative target port too
	Removable  bool     // the medium can be ejected with START STOP UNIT
	Persistent Store    // keeps reservations across restarts; nil: APTPL is refused

	// AtomicMax is the size in bytes up to which one WriteAt of the device is, after a power loss, there as a whole or
	// not at all. 0: not known, WRITE ATOMIC is not offered.
	AtomicMax int

	// Peer finds the unit with an identifier of designators, for EXTENDED COPY; it returns nil unless initiatorPort has
	// a session to it. nil: copies stay within the unit.
	Peer func(initiatorPort string, id [16]byte) *Unit
}

// gate bits: what may keep a command from being admitted. Zero lets every command pass without a lock.
const (
	gateReserve6 = 1 << iota // RESERVE(6) is held
	gatePersist              // a persistent reservation is held
	gateNoMedium             // the medium is ejected
	gateProtect              // SWP of the control mode page is set
)

// Unit is one logical unit. All methods may be called from any number of goroutines.
type Unit struct {
	dev       target.Device
	id        Identity
	blockSize int
	modes     modeState
	ranges    rangeLock
	gate      atomic.Uint32 // Invariant: says what the guarded fields say

	mu struct {
		sync.Mutex
		nexuses  map[*Nexus]struct{}
		reserver *Nexus // holder of RESERVE(6)
		ejected  bool
		pr       persistent
	}
}

// NewUnit returns the unit that shows dev. It reads the reservations that id.Persistent keeps.
func NewUnit(dev target.Device, id Identity) (*Unit, error) {
	if id.Serial == "" {
		id.Serial = hex.EncodeToString(id.ID[:])
	}
	u := &Unit{dev: dev, id: id, blockSize: dev.BlockSize()}
	u.modes.reset()
	u.mu.nexuses = make(map[*Nexus]struct{})
	if err := u.loadReservations(); err != nil {
		return nil, err
	}
	return u, nil
}

// Device returns the device that the unit shows.
func (u *Unit) Device() target.Device { return u.dev }

// Attach makes a nexus for an initiator port, named as in RFC 7143 section 4.4.1 (iSCSI name, ",i,0x", ISID). Its
// first command is answered with the unit attention of a new nexus.
func (u *Unit) Attach(initiatorPort string) *Nexus {
	n := &Nexus{unit: u, port: initiatorPort}
	n.size.Store(u.dev.Size())
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.nexuses[n] = struct{}{}
	n.attentionLocked(PowerOn)
	return n
}

// Idle reports whether nothing would be lost if the unit were made anew: nobody is attached and nothing is registered.
func (u *Unit) Idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.mu.nexuses) == 0 && u.mu.pr.registrants() == 0
}

// Reset is a logical unit reset (SAM-5, section 6.3.3): everything but persistent reservations goes back to how it
// was after power on, and each nexus gets a unit attention. The caller has ended the commands before.
func (u *Unit) Reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.reserver, u.mu.ejected = nil, false
	u.modes.reset()
	for n := range u.mu.nexuses {
		n.prevent = false
		n.attentionLocked(DeviceReset)
	}
	u.setGateLocked()
}

// ClearedByOther leaves the unit attention for commands that another nexus has ended (SPC-4, section 5.14).
func (u *Unit) ClearedByOther(by *Nexus, n *Nexus) {
	if by != n {
		u.mu.Lock()
		defer u.mu.Unlock()
		n.attentionLocked(CommandsClearedByOther)
	}
}

func (u *Unit) setGateLocked() {
	var g uint32
	if u.mu.reserver != nil {
		g |= gateReserve6
	}
	if u.mu.pr.held() {
		g |= gatePersist
	}
	if u.mu.ejected {
		g |= gateNoMedium
	}
	if u.modes.protect.Load() {
		g |= gateProtect
	}
	u.gate.Store(g)
}

// othersLocked leaves code for every nexus but n.
func (u *Unit) othersLocked(n *Nexus, code Code) {
	for o := range u.mu.nexuses {
		if o != n {
			o.attentionLocked(code)
		}
	}
}

func (u *Unit) lastLBA() uint64 { return uint64(u.dev.Size()/int64(u.blockSize)) - 1 }

// perPhysical is the exponent of logical blocks per physical block (SBC-3, section 5.16.2).
func (u *Unit) perPhysical() byte {
	var e byte
	for bs := u.blockSize; bs < physicalBlock; bs *= 2 {
		e++
	}
	return e
}

func (u *Unit) inBlocks(bytes int64) uint32 { return uint32(bytes / int64(u.blockSize)) }
