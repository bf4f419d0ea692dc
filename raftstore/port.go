package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/credentials"
)

// Protocols of the port, as the TLS handshake names them.
const (
	protoRaft = "weir-raft/1"
	protoRPC  = "h2"
)

const (
	handshakeTimeout  = 10 * time.Second
	handshakesAtOnce  = 256
	acceptRetryDelay  = 50 * time.Millisecond
	dialTimeoutOfRaft = 5 * time.Second
)

// port accepts connections, finishes their TLS handshake and hands them to the protocol that was agreed on.
type port struct {
	ln   net.Listener
	conf *tls.Config
	log  *slog.Logger
	rpc  *branch
	raft *branch

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newPort(ln net.Listener, conf *tls.Config, log *slog.Logger) *port {
	conf = conf.Clone()
	conf.NextProtos = []string{protoRPC, protoRaft}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	conf.MinVersion = tls.VersionTLS13
	p := &port{ln: ln, conf: conf, log: log, rpc: newBranch(ln.Addr()), raft: newBranch(ln.Addr())}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Add(1)
	go p.accept()
	return p
}

func (p *port) accept() {
	defer p.wg.Done()
	slots := make(chan struct{}, handshakesAtOnce)
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || p.ctx.Err() != nil {
				return
			}
			p.log.Warn("accept", "err", err)
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(acceptRetryDelay): // out of file descriptors, most likely
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-p.ctx.Done():
			_ = conn.Close()
			return
		}
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			defer func() { <-slots }()
			p.greet(conn)
		}()
	}
}

func (p *port) greet(raw net.Conn) {
	ctx, cancel := context.WithTimeout(p.ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(raw, p.conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		p.log.Debug("handshake", "peer", raw.RemoteAddr(), "err", err)
		_ = raw.Close()
		return
	}
	state := conn.ConnectionState()
	id, err := peerIdentity(state)
	switch {
	case err == nil && state.NegotiatedProtocol == protoRPC:
		p.rpc.deliver(ctx, conn)
	case err == nil && state.NegotiatedProtocol == protoRaft && id.role == roleNode:
		p.raft.deliver(ctx, conn)
	default:
		p.log.Warn("connection refused", "peer", raw.RemoteAddr(), "role", id.role, "name", id.name,
			"protocol", state.NegotiatedProtocol, "err", err)
		_ = conn.Close()
	}
}

// close stops accepting; connections that were handed over live on.
func (p *port) close() error {
	p.cancel()
	err := p.ln.Close()
	p.wg.Wait()
	return errors.Join(err, p.rpc.Close(), p.raft.Close())
}

// branch is the listener of one protocol. It knows the connections that it handed out, and closes them when it closes.
type branch struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}

	mu     sync.Mutex
	closed bool
	live   map[*branchConn]struct{}
}

func newBranch(addr net.Addr) *branch {
	return &branch{addr: addr, conns: make(chan net.Conn), done: make(chan struct{}), live: make(map[*branchConn]struct{})}
}

func (b *branch) deliver(ctx context.Context, conn *tls.Conn) {
	c := &branchConn{Conn: conn, branch: b}
	b.mu.Lock()
	closed := b.closed
	if !closed {
		b.live[c] = struct{}{}
	}
	b.mu.Unlock()
	if closed {
		_ = conn.Close()
		return
	}
	select {
	case b.conns <- c:
	case <-b.done:
		_ = c.Close()
	case <-ctx.Done():
		_ = c.Close()
	}
}

func (b *branch) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and all connections that it returned.
func (b *branch) Close() error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.done)
	}
	live := b.live
	b.live = nil
	b.mu.Unlock()
	for c := range live {
		_ = c.Conn.Close() // whoever uses it sees the end
	}
	return nil
}

func (b *branch) Addr() net.Addr { return b.addr }

// branchConn is a connection that its branch forgets when it is closed.
type branchConn struct {
	*tls.Conn
	branch *branch
}

func (c *branchConn) Close() error {
	c.branch.mu.Lock()
	delete(c.branch.live, c)
	c.branch.mu.Unlock()
	return c.Conn.Close()
}

// shaken are transport credentials for connections that have their TLS handshake behind them.
type shaken struct {
	credentials.TransportCredentials
}

func (shaken) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t, ok := conn.(*branchConn)
	if !ok {
		return nil, nil, fmt.Errorf("connection of type %T did not come through the port", conn)
	}
	return conn, credentials.TLSInfo{
		State:          t.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

func (s shaken) Clone() credentials.TransportCredentials {
	return shaken{s.TransportCredentials.Clone()}
}

// raftStream is how Raft reaches other nodes.
type raftStream struct {
	*branch
	conf *tls.Config
	addr advertised
}

var _ raft.StreamLayer = (*raftStream)(nil)

// advertised is an address that others reach us at.
type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

func newRaftStream(b *branch, conf *tls.Config, advertise string) *raftStream {
	conf = conf.Clone()
	conf.NextProtos = []string{protoRaft}
	conf.MinVersion = tls.VersionTLS13
	return &raftStream{branch: b, conf: conf, addr: advertised(advertise)}
}

func (s *raftStream) Addr() net.Addr { return s.addr }

func (s *raftStream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 {
		timeout = dialTimeoutOfRaft
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout}, Config: s.conf}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, "tcp", string(address))
}
