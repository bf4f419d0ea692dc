package iscsi

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi/scsi"
)

// sessionID is what the initiator brings to tell a session (RFC 7143, section 4.4.1.1).
type sessionID struct {
	initiator string
	isid      [6]byte
	cid       uint16
}

// port is the name of the initiator port (section 4.4.1.2).
func (id sessionID) port() string {
	return fmt.Sprintf("%s,i,0x%x", strings.ToLower(id.initiator), id.isid[:])
}

// sessionKey tells sessions apart: initiator port and target.
type sessionKey struct{ port, iqn string }

// SessionInfo describes a session that is logged in.
type SessionInfo struct {
	Initiator string    // iSCSI name
	IQN       string    // target; empty in a discovery session
	Peer      string    // host:port
	TSIH      uint16    // session handle
	InFlight  int       // commands being carried out
	User      string    // CHAP name; empty: nobody was asked for
	Since     time.Time // when it logged in
	ReadOnly  bool      // write-protected for this session

	Commands                uint64
	BytesRead, BytesWritten uint64 // by the initiator

	Attachment Attachment // as Options.Attach gave it
	LastSeen   time.Time  // last PDU, to a second
}

// enter makes the session of a login that succeeded. A session of the same initiator port to the same target ends
// first, and with it its commands (session reinstatement, RFC 7143, section 6.3.5).
func (l *login) enter() error {
	c, s := l.c, l.c.srv
	c.user, c.since = l.auth.user, time.Now()
	if l.discovery {
		return s.register(c, sessionKey{})
	}
	key := sessionKey{c.id.port(), c.info.IQN}
	if c.tsih != 0 {
		if s.find(key) != nil {
			return refuse(loginCantInclude, "a session has one connection")
		}
		return refuse(loginNoSession, "no session %d", c.tsih)
	}
	for old := s.find(key); old != nil; old = s.find(key) {
		old.kill()
		select {
		case <-old.done:
		case <-time.After(s.opt.LoginTimeout):
			return refuse(loginTargetError, "the session before does not end")
		}
	}
	if err := s.attachment(c, c.user); err != nil {
		return err
	}
	dev, info, err := s.targets.Target(c.info.IQN)
	if err != nil {
		return refuse(loginUnavailable, "%w", err)
	}
	if err := s.register(c, key); err != nil {
		return err
	}
	return s.attach(c, dev, info)
}

// attach gives a registered session its nexus.
func (s *Server) attach(c *conn, dev target.Device, info TargetInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	unit, err := s.unitLocked(dev, info)
	if err != nil {
		return refuse(loginUnavailable, "%w", err)
	}
	for _, o := range s.mu.sessions {
		if info.Access.Exclusive && o.nexus != nil && o.nexus.Unit() == unit &&
			!strings.EqualFold(o.id.initiator, c.id.initiator) {
			return refuse(loginForbidden, "%s is in use by %s", info.IQN, o.id.initiator)
		}
	}
	c.nexus = unit.Attach(c.id.port())
	if containsName(info.Access.ReadOnly, c.id.initiator) || c.place != nil && c.place.ReadOnly() {
		c.nexus.ReadOnly()
	}
	return nil
}

// register gives c a session handle and its place among the sessions.
func (s *Server) register(c *conn, key sessionKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.closing:
		return refuse(loginUnavailable, "shutting down")
	case s.mu.sessions[key] != nil && key != sessionKey{}:
		return refuse(loginTargetError, "another login of the same session is under way")
	case len(s.mu.handles) >= s.opt.SessionsMax:
		return refuse(loginOutOfResources, "%d sessions, which is the limit", len(s.mu.handles))
	}
	for s.mu.lastTSIH++; s.mu.lastTSIH == 0 || s.mu.handles[s.mu.lastTSIH] != nil; s.mu.lastTSIH++ {
	}
	c.tsih = s.mu.lastTSIH
	s.mu.handles[c.tsih] = c
	s.share.Store(s.opt.shareOf(len(s.mu.handles)))
	if key != (sessionKey{}) {
		s.mu.sessions[key] = c
	}
	return nil
}

// leave removes c from all that knows it, and the unit that nobody needs any more.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
	if c.nexus != nil {
		c.nexus.Detach()
	}
	if s.mu.handles[c.tsih] == c {
		delete(s.mu.handles, c.tsih)
		s.share.Store(s.opt.shareOf(len(s.mu.handles)))
	}
	key := sessionKey{c.id.port(), c.info.IQN}
	if s.mu.sessions[key] == c {
		delete(s.mu.sessions, key)
	}
	if u, ok := s.mu.units[c.info.IQN]; ok && c.nexus != nil && u.unit == c.nexus.Unit() && u.unit.Idle() {
		delete(s.mu.units, c.info.IQN)
	}
}

func (s *Server) find(key sessionKey) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sessions[key]
}

// sessionsOf returns the sessions to a unit.
func (s *Server) sessionsOf(u *scsi.Unit) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*conn
	for _, c := range s.mu.sessions {
		if c.nexus != nil && c.nexus.Unit() == u {
			list = append(list, c)
		}
	}
	return list
}

// Drop ends all sessions to a target, at once, and forgets its unit with all reservations; for a volume that is
// deleted. It returns when nothing of theirs is with the device any more.
func (s *Server) Drop(iqn string) {
	s.mu.Lock()
	var conns []*conn
	for key, c := range s.mu.sessions {
		if key.iqn == iqn {
			conns = append(conns, c)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.kill()
	}
	for _, c := range conns {
		<-c.done
	}
	s.mu.Lock()
	delete(s.mu.units, iqn)
	s.mu.Unlock()
}

func (s *Server) dropSessions(u *scsi.Unit) {
	for _, c := range s.sessionsOf(u) {
		c.kill()
	}
}

// peer finds the unit with an identifier, if an initiator port has a session to it.
func (s *Server) peer(port string, id [16]byte) *scsi.Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.mu.sessions {
		if key.port == port && c.info.ID == id && c.nexus != nil {
			return c.nexus.Unit()
		}
	}
	return nil
}

// shownUnit is a unit with the device that it shows.
type shownUnit struct {
	dev  target.Device
	unit *scsi.Unit
}

// unitLocked returns the unit of a target. It is made when the target is first used, and again when the name stands for
// another device.
func (s *Server) unitLocked(dev target.Device, info TargetInfo) (*scsi.Unit, error) {
	if u, ok := s.mu.units[info.IQN]; ok && u.dev == dev {
		return u.unit, nil
	}
	unit, err := scsi.NewUnit(dev, scsi.Identity{ID: info.ID, Serial: info.Serial, Name: info.IQN, Revision: "0001",
		PortGroup: ourPortGroup, Removable: info.Removable, Persistent: s.opt.Reservations,
		AtomicMax: info.AtomicMax, Peer: s.peer})
	if err != nil {
		return nil, err
	}
	s.mu.units[info.IQN] = shownUnit{dev, unit}
	return unit, nil
}
