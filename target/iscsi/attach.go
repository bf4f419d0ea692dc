package iscsi

import (
	"net"
	"net/netip"
)

// Attempt is an initiator that has proved who it is and is about to get its session.
type Attempt struct {
	Initiator string   // iSCSI name
	User      string   // CHAP name; empty: nobody was asked for
	Peer      net.Addr // of the connection
	Target    TargetInfo

	// Cut ends the connection. It may be called from anywhere, any number of times, and waits for nothing.
	Cut func()
}

// Attachment is the place that an Attempt was given.
type Attachment interface {
	// ReadOnly says that the volume is write-protected for this session.
	ReadOnly() bool
	// Detach is called once, when no command of the session is with the device any more.
	Detach()
}

// attachment asks for a place for c. The end of the connection gives it back.
func (s *Server) attachment(c *conn, user string) error {
	if s.opt.Attach == nil {
		return nil
	}
	a, err := s.opt.Attach(Attempt{Initiator: c.id.initiator, User: user, Peer: c.nc.RemoteAddr(), Target: c.info, Cut: c.kill})
	if err != nil {
		return refuse(loginForbidden, "%w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.place = a
	return nil
}

// detach gives the place of c back. Nothing of c is with the device any more.
func (c *conn) detach() {
	if c.place != nil {
		c.place.Detach()
	}
}

// count adds what t has moved to the figures of the session.
func (c *conn) count(t *task) {
	c.stats.commands.Add(1)
	switch {
	case t.op.Failed():
	case t.isWrite:
		c.stats.written.Add(uint64(len(t.out)))
	case len(t.op.In) > 0:
		c.stats.read.Add(uint64(len(t.op.In)))
	}
}

// addressOf returns the address in a, the zero Addr if it is none of the Internet.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// admits reports whether an initiator at an address may log in.
func (a Access) admits(initiator string, from net.Addr) bool {
	if !a.allows(initiator) {
		return false
	}
	if len(a.Hosts) == 0 {
		return true
	}
	addr := addressOf(from)
	for _, p := range a.Hosts {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
