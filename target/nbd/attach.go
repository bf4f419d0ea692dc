package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Refusal is an error whose text the client is told; of other errors it learns only that there was one.
type Refusal struct {
	Text string // one line for a person: why, and what to do about it
}

func (r *Refusal) Error() string { return r.Text }

// Refuse returns a Refusal.
func Refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Attempt is a client that is about to enter the transmission phase of an export.
type Attempt struct {
	Peer   Peer
	Export ExportInfo
	Access Access // ReadOnly: the client will be told that the export is read-only, and its writes be refused

	// Cut ends the connection, now or whenever it is called; requests with the device are waited for by nobody. It may
	// be called from anywhere, any number of times.
	Cut func(why error)
}

// Attachment is the place that an Attempt was given.
type Attachment interface {
	// Detach is called once, when no request of the client is with the device any more.
	Detach()
}

// leash reaches a connection in whatever phase it is.
type leash struct {
	mu  sync.Mutex
	why error       // it was cut
	end func(error) // ends the connection; called with mu held; nil: there is nothing to end
}

// cut ends the connection. The first reason counts.
func (l *leash) cut(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why == nil {
		l.why = why
	}
	if l.end != nil {
		l.end(why)
	}
}

// hold says how the connection ends from now on; nil: it has ended. After hold the end before is not called any more.
func (l *leash) hold(end func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = end
	if l.why != nil && end != nil {
		end(l.why)
	}
}

// peerOf describes the client of conn.
func peerOf(conn net.Conn) Peer {
	p := Peer{Addr: conn.RemoteAddr()}
	if c, ok := conn.(*tls.Conn); ok {
		state := c.ConnectionState()
		p.TLS = &state
		conn = c.NetConn()
	}
	if c, ok := conn.(*net.UnixConn); ok {
		p.Process = processOf(c)
	}
	return p
}

// processOf returns the process that connected; unix(7), SO_PEERCRED.
func processOf(c *net.UnixConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// String returns where the client is: its address, or its process at a Unix socket.
func (p Peer) String() string {
	if p.Process > 0 {
		return fmt.Sprintf("unix:%d", p.Process)
	}
	if p.Addr == nil {
		return ""
	}
	return p.Addr.String()
}

// attach asks for a place for t, which its end gives back.
func (h *handshake) attach(ctx context.Context, t *terms) error {
	if h.opt.Attach == nil {
		return nil
	}
	h.leash.hold(func(error) { _ = h.conn.Close() })
	a, err := h.opt.Attach(ctx, Attempt{Peer: peerOf(h.conn), Export: t.export, Access: Access{ReadOnly: t.readOnly}, Cut: h.leash.cut})
	if err != nil {
		return err
	}
	t.attachment = a
	return nil
}

// end gives back what t has of device and place.
func (t *terms) end() {
	if t.attachment != nil {
		t.attachment.Detach()
	}
	release(t.dev)
}

// refuseExport tells why an export can not be had, as far as it is for the client to know.
func (h *handshake) refuseExport(o option, name string, err error) error {
	var r *Refusal
	switch {
	case errors.Is(err, ErrUnknownExport):
		return h.refuse(o, repErrUnknown, err.Error())
	case errors.As(err, &r):
		h.log.Info("client refused", "export", name, "why", r.Text)
		return h.refuse(o, repErrPolicy, r.Text)
	}
	h.log.Warn("export can not be opened", "export", name, "error", err)
	return h.refuse(o, repErrPolicy, "the export can not be opened now")
}
