package admin

import (
	"net"
	"net/http"
	"sync"
)

// silent are the connections that have not sent a request yet, such as those that a browser opens in advance.
// http.Server.Shutdown waits five seconds for each of them. Safe for concurrent use.
type silent struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// track is the ConnState hook of the http.Server.
func (s *silent) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state != http.StateNew {
		delete(s.conns, c)
		return
	}
	if s.closed {
		_ = c.Close() // nothing was asked on it
		return
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]struct{})
	}
	s.conns[c] = struct{}{}
}

// close closes the silent connections, and from then on those that come.
func (s *silent) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close() // nothing was asked on it
	}
	clear(s.conns)
}
