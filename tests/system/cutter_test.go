package system

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// cut is how a cutter ends a connection.
type cut int

const (
	cutBoth   cut = iota // both sides see a reset
	cutClient            // the client sees a reset; the server is not told
	cutNone              // neither is told: nothing passes any more
	cutKinds
)

// cutter passes TCP connections on to a server, and cuts some of them after a number of bytes from the client, in the
// middle of whatever they carry.
type cutter struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	rnd   *rand.Rand
	left  int // connections still to be cut
	done  [cutKinds]int
	down  bool // nobody gets through
	conns []net.Conn
}

// newCutter cuts the first n connections to server, each in the next of the three ways after 0.5 to 3.5 MiB. It ends with
// the test.
func newCutter(t *testing.T, server string, n int, rnd *rand.Rand) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutter{listener: l, server: server, rnd: rnd, left: n}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *cutter) addr() string { return p.listener.Addr().String() }

// cuts returns how many connections were cut in each way.
func (p *cutter) cuts() [cutKinds]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// setDown ends all connections and lets none through, or lets them through again.
func (p *cutter) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	if down {
		p.dropLocked()
	}
	p.mu.Unlock()
}

func (p *cutter) dropLocked() {
	for _, c := range p.conns {
		reset(c)
	}
	p.conns = nil
}

func (p *cutter) close() {
	_ = p.listener.Close()
	p.setDown(true)
	p.wg.Wait()
}

func (p *cutter) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		if p.down {
			p.dropLocked()
		}
		after, how := int64(-1), cut(p.left)%cutKinds
		if p.left > 0 {
			p.left--
			after = 1<<19 + p.rnd.Int64N(3<<20)
		}
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(server, client, after, how) })
		p.wg.Go(func() { p.back(client, server) })
	}
}

// forward carries what the client sends, and cuts after that many bytes; -1: never.
func (p *cutter) forward(server, client net.Conn, after int64, how cut) {
	if after < 0 {
		_, _ = io.Copy(server, client)
		_ = server.Close()
		return
	}
	if _, err := io.CopyN(server, client, after); err != nil {
		_ = server.Close() // the client left before
		return
	}
	p.mu.Lock()
	p.done[how]++
	p.mu.Unlock()
	switch how {
	case cutBoth:
		reset(server)
		reset(client)
	case cutClient:
		reset(client)
	}
}

// back carries what the server sends, until either side ends.
func (p *cutter) back(client, server net.Conn) {
	if _, err := io.Copy(client, server); err == nil || !errors.Is(err, net.ErrClosed) {
		_ = client.Close()
	}
}

// reset closes c as a machine does that knows nothing of the connection.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}
