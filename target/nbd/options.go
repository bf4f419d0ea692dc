package nbd

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// TLSMode says what a server asks of clients; proto.md, "Server-side requirements".
type TLSMode uint8

const (
	TLSOff     TLSMode = iota // NOTLS: STARTTLS is refused
	TLSAllow                  // SELECTIVETLS: the client chooses
	TLSRequire                // FORCEDTLS: nothing but STARTTLS and ABORT before TLS
)

// ParseTLSMode reads "off", "allow" or "require".
func ParseTLSMode(s string) (TLSMode, error) {
	for m, name := range tlsModeNames {
		if s == name {
			return TLSMode(m), nil
		}
	}
	return TLSOff, fmt.Errorf("TLS mode is %q, want off, allow or require", s)
}

var tlsModeNames = [...]string{TLSOff: "off", TLSAllow: "allow", TLSRequire: "require"}

func (m TLSMode) String() string {
	if int(m) < len(tlsModeNames) {
		return tlsModeNames[m]
	}
	return fmt.Sprintf("TLSMode(%d)", uint8(m))
}

// Peer is a client that asks for an export.
type Peer struct {
	Addr    net.Addr
	TLS     *tls.ConnectionState // nil without TLS
	Process int                  // that has opened the Unix socket; 0 elsewhere
}

// Access is what a client may do with an export.
type Access struct {
	ReadOnly bool
}

// Options are the knobs of a Server. The zero value of each field stands for its default.
type Options struct {
	Logger *slog.Logger // default: discards

	TLS     *tls.Config // needed for TLSAllow and TLSRequire; set ClientAuth there to demand client certificates
	TLSMode TLSMode

	// Authorize, if set, is asked before a client may list, inspect or attach an export. An error refuses it.
	// The client learns why if the error is a Refusal.
	Authorize func(Peer, ExportInfo) (Access, error)

	// Attach, if set, is asked before a client enters the transmission phase, once for each connection, and may take
	// its time within HandshakeTimeout. An error refuses the client, as with Authorize.
	Attach func(context.Context, Attempt) (Attachment, error)

	HandshakeTimeout time.Duration // for the whole handshake, TLS included; default 30 s
	StallTimeout     time.Duration // for the rest of a request, and for replies to be taken; default 60 s
	IdleTimeout      time.Duration // without any request; default: no limit (dead peers are found by TCP keepalive)
	DrainTimeout     time.Duration // Close waits as long for clients to take their last replies; default 10 s

	MaxConnections int   // in the transmission phase; more are refused; default 1024
	MaxHandshakes  int   // beyond it the oldest unfinished handshake is dropped; default 128
	ConnBytes      int64 // in flight for one connection, at least 34 MiB; default 64 MiB
	Workers        int   // goroutines of one connection that serve slow commands; default 32

	// TotalBytes bounds what is in flight for all connections. Each has an equal part of it for itself, at least 1 MiB
	// and at most 16 MiB; as much again is there for whoever needs more than its part at the moment. At least
	// ConnBytes; default 512 MiB.
	TotalBytes int64
}

const minConnBytes = MaxPayload + 2<<20

// withDefaults returns o with every field usable.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.TLS == nil {
		o.TLSMode = TLSOff
	}
	setDefault(&o.HandshakeTimeout, 30*time.Second)
	setDefault(&o.StallTimeout, 60*time.Second)
	setDefault(&o.DrainTimeout, 10*time.Second)
	setDefault(&o.MaxConnections, 1024)
	setDefault(&o.MaxHandshakes, 128)
	setDefault(&o.ConnBytes, 64<<20)
	setDefault(&o.TotalBytes, 512<<20)
	setDefault(&o.Workers, 32)
	o.ConnBytes = max(o.ConnBytes, minConnBytes)
	o.TotalBytes = max(o.TotalBytes, o.ConnBytes)
	return o
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}
