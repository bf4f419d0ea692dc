package iscsi

import (
	"log/slog"
	"time"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// Options set up a Server. The zero Options are ready to use.
type Options struct {
	Logger *slog.Logger // nil: no logs

	// PortalAddress (host:port) is what discovery tells. Empty: the address that the client connected to, so that
	// port forwarding and user-mode networking work.
	// Several addresses are separated by commas.
	PortalAddress string

	// Portals (host:port) are told by discovery beside the one that the client connected to, if PortalAddress is empty:
	// paths to the same units.
	Portals []string

	// DiscoveryAccess says who may discover.
	DiscoveryAccess Access

	// Attach, if set, is asked before a login becomes a session, and may take its time within LoginTimeout. An error
	// refuses the login; RFC 7143 has no place for its text, which goes to the log.
	Attach func(Attempt) (Attachment, error)

	// Reservations keeps persistent reservations across restarts; nil: APTPL is refused.
	Reservations scsi.Store

	SessionsMax  int           // sessions at a time; default 128
	HalfOpenMax  int           // connections that have not logged in; the oldest gives way; default 64
	LoginTimeout time.Duration // for the whole login; default 15 s
	PingAfter    time.Duration // silence after which a NOP-In asks for a sign of life; default 15 s
	DropAfter    time.Duration // silence after which the connection ends; default 45 s
	LogoutGrace  time.Duration // for initiators to log out while the server closes; default 2 s

	QueueDepth int // commands of a session at a time; default 128

	// Memory bounds the bytes of data of one connection at a time, and once more as many that the initiator sends
	// unsolicited; default and least 16 MiB.
	Memory int64
	// MemoryTotal bounds the same for all connections together: each has an equal part, though at least the 8 MiB of
	// the largest command; default and least that much for SessionsMax. Where a session begins while others have
	// more than their part, what these have begun still comes to its end.
	MemoryTotal int64
}

// withDefaults fills in what is zero.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	set(&o.SessionsMax, 128)
	set(&o.HalfOpenMax, 64)
	set(&o.LoginTimeout, 15*time.Second)
	set(&o.PingAfter, 15*time.Second)
	set(&o.DropAfter, 45*time.Second)
	set(&o.LogoutGrace, 2*time.Second)
	set(&o.QueueDepth, 128)
	set(&o.Memory, 16<<20)
	o.Memory = max(o.Memory, 2*scsi.MaxTransfer)
	o.MemoryTotal = max(o.MemoryTotal, int64(o.SessionsMax)*scsi.MaxTransfer)
	return o
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// What this target offers in negotiation, in bytes (RFC 7143, section 13).
const (
	ourMaxRecv    = 256 << 10 // MaxRecvDataSegmentLength
	ourMaxBurst   = 1 << 20   // MaxBurstLength
	ourFirstBurst = 128 << 10 // FirstBurstLength: bounds unsolicited data together with the command window
	ourMaxR2T     = 8         // MaxOutstandingR2T
	ourPortGroup  = 1         // TargetPortalGroupTag
)
