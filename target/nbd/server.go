package nbd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// ErrServerClosed is returned by Serve after Close.
var ErrServerClosed = errors.New("nbd: server is closed")

// Server serves exports to any number of clients. Its methods are safe for concurrent use.
type Server struct {
	exports Exports
	opt     Options
	monitor *monitor
	bytes   *pool // in flight, all connections

	ctx    context.Context // ends when handshakes shall
	cancel context.CancelFunc
	joined sync.WaitGroup // connections

	mu struct {
		sync.Mutex
		closed    bool
		listeners map[net.Listener]struct{}
		greeting  []net.Conn // handshakes not finished, oldest first
		sessions  map[*session]struct{}
	}
}

// session is a connection in the transmission phase, as the server knows it.
type session struct {
	*conn
	since time.Time
}

// SessionInfo describes a client in the transmission phase.
type SessionInfo struct {
	Peer         Peer
	Export       string
	Since        time.Time
	TLS          bool
	ReadOnly     bool
	Attachment   Attachment // as Options.Attach gave it
	BytesRead    uint64     // by the client
	BytesWritten uint64     // by the client, payload of WRITE only
	Requests     uint64
	InFlight     int // commands with the device, writes that arrived together counted as one
}

// NewServer returns a server of e. Close it even if Serve is never called.
func NewServer(e Exports, opt Options) *Server {
	s := &Server{exports: e, opt: opt.withDefaults(), monitor: newMonitor()}
	s.bytes = newPool(s.opt.TotalBytes)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mu.listeners = make(map[net.Listener]struct{})
	s.mu.sessions = make(map[*session]struct{})
	return s
}

// Serve accepts connections on l until Close, then returns ErrServerClosed; any other error is one of l. It owns l and
// closes it. Several Serve calls can run at once, each with its listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		_ = l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	for pause := time.Duration(0); ; {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(conn)
			continue
		}
		if s.isClosed() {
			return ErrServerClosed
		}
		var temporary net.Error
		if errors.As(err, &temporary) && temporary.Timeout() || isExhausted(err) {
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.opt.Logger.Warn("accept failed, will try again", "error", err, "after", pause)
			if !s.wait(pause) {
				return ErrServerClosed
			}
			continue
		}
		return fmt.Errorf("accept NBD connection: %w", err)
	}
}

// wait returns false if the server was closed within d.
func (s *Server) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Close ends all Serve calls and all handshakes, lets the requests that were received be answered, disconnects the
// clients and returns when no goroutine of the server is left. Clients that do not take their replies are cut off after
// Options.DrainTimeout; a device call in progress is always waited for. Further calls wait as well.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.mu.closed
	s.mu.closed = true
	for l := range s.mu.listeners {
		_ = l.Close()
	}
	for _, c := range s.mu.greeting {
		_ = c.Close()
	}
	for c := range s.mu.sessions {
		c.shutdown()
	}
	s.mu.Unlock()
	s.cancel()
	cutOff := time.AfterFunc(s.opt.DrainTimeout, s.cutOff)
	defer cutOff.Stop()
	s.joined.Wait()
	if first {
		s.monitor.close()
	}
	return nil
}

func (s *Server) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.sessions {
		c.fail(errors.New("client did not take its last replies"))
	}
}

// Sessions lists the clients in the transmission phase, in no particular order.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]SessionInfo, 0, len(s.mu.sessions))
	for c := range s.mu.sessions {
		list = append(list, SessionInfo{
			Peer: c.peer, Export: c.export.Name, Since: c.since, TLS: c.tls, ReadOnly: c.readOnly,
			Attachment: c.attachment, InFlight: c.inFlight(),
			BytesRead: c.stats.read.Load(), BytesWritten: c.stats.written.Load(), Requests: c.stats.requests.Load(),
		})
	}
	return list
}

// admit starts the goroutine of a new connection. When too many handshakes are under way, the oldest is dropped: an
// honest client needs its place for milliseconds only.
func (s *Server) admit(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		_ = conn.Close()
		return
	}
	if len(s.mu.greeting) >= s.opt.MaxHandshakes {
		oldest := s.mu.greeting[0]
		s.opt.Logger.Warn("too many handshakes at once, dropping the oldest", "remote", oldest.RemoteAddr().String())
		_ = oldest.Close()
		s.mu.greeting = s.mu.greeting[1:]
	}
	s.mu.greeting = append(s.mu.greeting, conn)
	s.joined.Add(1)
	go func() {
		defer s.joined.Done()
		s.handle(conn)
	}()
}

// greeted ends the place of conn among the handshakes.
func (s *Server) greeted(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.mu.greeting {
		if c == conn {
			s.mu.greeting = append(s.mu.greeting[:i], s.mu.greeting[i+1:]...)
			return
		}
	}
}

// handle takes one connection from its first byte to its end.
func (s *Server) handle(conn net.Conn) {
	log := s.opt.Logger.With("remote", conn.RemoteAddr().String())
	h := &handshake{
		exports: s.exports, opt: &s.opt, log: log, closing: s.isClosed, full: s.isFull,
		conn: conn, r: bufio.NewReaderSize(conn, 4096), w: bufio.NewWriterSize(conn, 4096),
	}
	_ = conn.SetDeadline(time.Now().Add(s.opt.HandshakeTimeout))
	t, err := h.run(s.ctx)
	s.greeted(conn)
	if err != nil {
		logEnd(log, "handshake failed", err)
		_ = h.conn.Close()
		return
	}
	early, _ := h.r.Peek(h.r.Buffered())
	s.transmit(h, t, early, log)
}

// transmit runs the transmission phase, closes the connection and ends t.
func (s *Server) transmit(h *handshake, t *terms, early []byte, log *slog.Logger) {
	defer t.end()
	conn := h.conn
	tr, err := newTransport(conn, s.opt.StallTimeout)
	if err != nil {
		log.Warn("connection can not be served", "error", err)
		_ = conn.Close()
		return
	}
	log = log.With("export", t.export.Name)
	c := &session{conn: newConn(s, t, tr, log), since: time.Now()}
	if err := s.addSession(c); err != nil {
		log.Warn("connection refused", "error", err)
		_ = tr.Close()
		return
	}
	h.leash.hold(c.fail)
	log.Info("client connected", "tls", t.tls, "readonly", t.readOnly)
	err = c.serve(early)
	h.leash.hold(nil)
	s.removeSession(c)
	_ = tr.Close()
	if err != nil {
		logEnd(log, "client disconnected", err)
		return
	}
	log.Info("client disconnected", "requests", c.stats.requests.Load())
}

// logEnd logs the end of a connection, quietly where the client just went away.
func logEnd(log *slog.Logger, what string, err error) {
	level := slog.LevelWarn
	if errors.Is(err, io.EOF) || errors.Is(err, errAborted) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, ErrUnknownExport) {
		level = slog.LevelDebug
	}
	log.Log(context.Background(), level, what, "error", err)
}

func (s *Server) addSession(c *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return ErrServerClosed
	}
	if n := len(s.mu.sessions); n >= s.opt.MaxConnections {
		return fmt.Errorf("there are %d connections already", n)
	}
	s.mu.sessions[c] = struct{}{}
	s.bytes.share(len(s.mu.sessions), s.opt.TotalBytes)
	s.monitor.add(c.conn)
	return nil
}

func (s *Server) removeSession(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.sessions, c)
	s.bytes.share(len(s.mu.sessions), s.opt.TotalBytes)
	s.monitor.remove(c.conn)
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return false
	}
	s.mu.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.listeners, l)
}

func (s *Server) isFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.sessions) >= s.opt.MaxConnections
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.closed
}

// inFlight returns how many commands are with the device, those that a lane has together counted as one.
func (c *conn) inFlight() int {
	n := int(c.unfinished.Load())
	if c.busy.Load() != 0 {
		n++
	}
	return n
}
