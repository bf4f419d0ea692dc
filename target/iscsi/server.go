package iscsi

import (
	"errors"
	"fmt"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is what Serve returns after Close.
var ErrClosed = errors.New("iscsi server is closed")

// Server serves targets to initiators. All methods may be called from any number of goroutines.
type Server struct {
	targets Targets
	opt     Options
	workers *workers
	watcher watcher
	clock   atomic.Int64 // seconds since 1970, about
	share   atomic.Int64 // bytes that each session may use; see Options.shareOf
	quit    chan struct{}
	wg      sync.WaitGroup // watcher, housekeeper and one per connection

	mu struct {
		sync.Mutex
		closing   bool
		listeners map[net.Listener]struct{}
		conns     map[*conn]struct{}
		handles   map[uint16]*conn     // sessions by TSIH
		sessions  map[sessionKey]*conn // normal sessions
		units     map[string]shownUnit // by target name
		lastTSIH  uint16
		order     []*conn // connections that have not logged in, oldest first
	}
}

// NewServer returns a server of targets. It serves nothing until Serve is called; Close ends it in any case.
func NewServer(targets Targets, opt Options) *Server {
	s := &Server{targets: targets, opt: opt.withDefaults(), workers: newWorkers(), quit: make(chan struct{})}
	s.share.Store(s.opt.shareOf(1))
	s.watcher.wake = make(chan struct{}, 1)
	s.clock.Store(time.Now().Unix())
	s.mu.listeners = make(map[net.Listener]struct{})
	s.mu.conns = make(map[*conn]struct{})
	s.mu.handles = make(map[uint16]*conn)
	s.mu.sessions = make(map[sessionKey]*conn)
	s.mu.units = make(map[string]shownUnit)
	s.wg.Add(2)
	go s.watch()
	go s.keepHouse()
	return s
}

// Serve takes connections from l until Close, then returns ErrClosed; or until l fails. It closes l. Several listeners
// can be served at a time.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.mu.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.mu.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer s.unlisten(l)
	for {
		nc, err := l.Accept()
		if err == nil {
			s.admit(nc)
			continue
		}
		if s.closing() {
			return ErrClosed
		}
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			continue
		}
		if !temporary(err) {
			return fmt.Errorf("accepting iscsi connections: %w", err)
		}
		s.opt.Logger.Warn("iscsi accept failed", "error", err)
		select { // out of descriptors: let some close
		case <-s.quit:
			return ErrClosed
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) unlisten(l net.Listener) {
	s.mu.Lock()
	delete(s.mu.listeners, l)
	s.mu.Unlock()
}

func (s *Server) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.closing
}

// admit starts a connection. When too many have not logged in, the oldest of them ends, so that a flood can not keep
// good clients out for longer than it keeps going.
func (s *Server) admit(nc net.Conn) {
	s.mu.Lock()
	if s.mu.closing {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	c := newConn(s, nc)
	s.mu.conns[c] = struct{}{}
	s.mu.order = append(s.mu.order, c)
	var oldest *conn
	half := s.mu.order[:0]
	for _, o := range s.mu.order {
		if _, alive := s.mu.conns[o]; alive && !o.loggedIn.Load() {
			half = append(half, o)
		}
	}
	clear(s.mu.order[len(half):])
	s.mu.order = half
	if len(half) > s.opt.HalfOpenMax {
		oldest = half[0]
		s.mu.order = half[1:]
	}
	s.wg.Go(c.serve)
	s.mu.Unlock()
	if oldest != nil {
		oldest.kill()
	}
}

// Sessions describes the sessions that are logged in, ordered by their handle.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]SessionInfo, 0, len(s.mu.handles))
	for _, c := range s.mu.handles {
		list = append(list, SessionInfo{Initiator: c.id.initiator, IQN: c.info.IQN, Peer: c.nc.RemoteAddr().String(),
			TSIH: c.tsih, InFlight: int(c.inflight.Load()), LastSeen: time.Unix(c.lastSeen.Load(), 0),
			User: c.user, Since: c.since, ReadOnly: c.nexus != nil && c.nexus.WriteProtected(),
			Commands: c.stats.commands.Load(), BytesRead: c.stats.read.Load(), BytesWritten: c.stats.written.Load(),
			Attachment: c.place})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].TSIH < list[j].TSIH })
	return list
}

// keepHouse keeps the clock, pings silent initiators and ends dead connections, until quit is closed.
func (s *Server) keepHouse() {
	defer s.wg.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case now := <-tick.C:
			s.clock.Store(now.Unix())
			s.visit(now.Unix())
		}
	}
}

// visit looks after each connection that is logged in; login has its own deadline.
func (s *Server) visit(now int64) {
	var silent, dead []*conn
	s.mu.Lock()
	for _, c := range s.mu.handles {
		quiet := time.Duration(now-c.lastSeen.Load()) * time.Second
		switch {
		case !c.loggedIn.Load():
		case quiet >= s.opt.DropAfter:
			dead = append(dead, c)
		case quiet >= s.opt.PingAfter && c.nexus != nil && !c.pinged.Swap(true):
			silent = append(silent, c)
		}
	}
	s.mu.Unlock()
	for _, c := range silent {
		s.wg.Go(c.ping) // the socket of a dead peer may block
	}
	for _, c := range dead {
		s.opt.Logger.Warn("iscsi initiator is silent", "initiator", c.id.initiator, "target", c.info.IQN)
		c.kill()
	}
}

// Close stops listening, asks every initiator to log out, waits up to LogoutGrace for that, then ends the sessions
// that are left: commands that are being carried out are answered, others are not begun. It returns when all
// goroutines of the server have ended. Further calls do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.mu.closing {
		s.mu.Unlock()
		s.wg.Wait()
		return nil
	}
	s.mu.closing = true
	for l := range s.mu.listeners {
		_ = l.Close()
	}
	conns := make([]*conn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	s.farewell(conns)
	close(s.quit)
	s.wg.Wait()
	s.workers.close()
	return nil
}

// lastWords is how long an ending connection may take to receive its last answers.
const lastWords = 5 * time.Second

// farewell ends conns, politely first.
func (s *Server) farewell(conns []*conn) {
	var asked []*conn
	for _, c := range conns {
		if c.loggedIn.Load() && c.info.IQN != "" {
			asked = append(asked, c)
			s.wg.Go(func() { c.requestLogout(int(s.opt.LogoutGrace / time.Second)) })
		} else {
			c.kill()
		}
	}
	grace := time.NewTimer(s.opt.LogoutGrace)
	defer grace.Stop()
	for _, c := range asked {
		select {
		case <-c.done:
			continue
		case <-grace.C:
		}
		break
	}
	for _, c := range asked {
		_ = c.nc.SetReadDeadline(time.Now()) // ends the reader; what is under way is answered
		_ = c.nc.SetWriteDeadline(time.Now().Add(lastWords))
	}
}

// temporary reports whether accepting may work again later.
func temporary(err error) bool {
	var ne interface{ Temporary() bool }
	return errors.As(err, &ne) && ne.Temporary()
}
