package nbd

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gate is an Options.Attach that lets one client in at a time.
type gate struct {
	mu       sync.Mutex
	taken    bool
	attempts []Attempt
	detached atomic.Int64
}

func (g *gate) attach(_ context.Context, a Attempt) (Attachment, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.attempts = append(g.attempts, a)
	if g.taken {
		return nil, Refuse("%s is in use: detach it there", a.Export.Name)
	}
	g.taken = true
	return g, nil
}

func (g *gate) Detach() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken = false
	g.detached.Add(1)
}

func (g *gate) last() Attempt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.attempts[len(g.attempts)-1]
}

// Each connection is asked for once, is told why it is refused, and gives its place back when it ends.
func TestAttach(t *testing.T) {
	g := &gate{}
	s, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{Attach: g.attach})
	one := attach(t, addr, "v", structured)
	if list := s.Sessions(); len(list) != 1 || list[0].Attachment != Attachment(g) || list[0].InFlight != 0 {
		t.Errorf("sessions %+v", list)
	}
	two := dial(t, addr, clientFixedNewstyle|clientNoZeroes)
	if r := two.option(optInfo, infoData("v")); r[len(r)-1].kind != repAck {
		t.Errorf("INFO beside a client is answered with %#x", uint32(r[len(r)-1].kind))
	}
	r := two.option(optGo, infoData("v"))
	if last := r[len(r)-1]; last.kind != repErrPolicy || string(last.data) != "v is in use: detach it there" {
		t.Errorf("GO of a second client: %#x %q", uint32(last.kind), last.data)
	}
	one.write(one.header(request{cmd: cmdDisc}))
	wait(t, "detach", func() bool { return g.detached.Load() == 1 })
	two.begin("v", simple)
	two.mustWrite(0, make([]byte, 512))
	if n := len(g.attempts); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
}

// A client is cut off from outside: its connection ends, and its place is free after that and not before.
func TestCut(t *testing.T) {
	g := &gate{}
	s, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{Attach: g.attach})
	c := attach(t, addr, "v", structured)
	g.last().Cut(errors.New("not wanted any more"))
	if _, err := c.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a client that was cut off gets an answer")
	}
	wait(t, "detach", func() bool { return g.detached.Load() == 1 })
	if n := len(s.Sessions()); n != 0 {
		t.Errorf("%d sessions after the cut", n)
	}
	g.last().Cut(errors.New("again")) // has no effect on what comes after
	attach(t, addr, "v", simple).mustWrite(0, make([]byte, 512))
}

// A cut between the attempt and the first request ends the connection too.
func TestCutEarly(t *testing.T) {
	g := &gate{}
	early := func(ctx context.Context, a Attempt) (Attachment, error) {
		p, err := g.attach(ctx, a)
		a.Cut(errors.New("at once"))
		return p, err
	}
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{Attach: early})
	c := dial(t, addr, clientFixedNewstyle|clientNoZeroes)
	c.write(append(optionHeader(optExportName, 1), 'v'))
	if _, err := c.conn.Read(make([]byte, 1)); err == nil {
		t.Error("a client that was cut off gets an answer")
	}
	wait(t, "detach", func() bool { return g.detached.Load() == 1 })
}

// Other errors than a Refusal are not told to clients.
func TestAttachHidesErrors(t *testing.T) {
	hide := func(context.Context, Attempt) (Attachment, error) { return nil, os.ErrPermission }
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{Attach: hide})
	c := dial(t, addr, clientFixedNewstyle|clientNoZeroes)
	r := c.option(optGo, infoData("v"))
	if last := r[len(r)-1]; last.kind != repErrPolicy || strings.Contains(string(last.data), "permission") {
		t.Errorf("GO: %#x %q", uint32(last.kind), last.data)
	}
}

// At a Unix socket the client is known by its process.
func TestPeerOfUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	s := NewServer(shelf{"v": newProbe(1<<20, 512)}, Options{Attach: g.attach})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := greetServer(t, conn, clientFixedNewstyle|clientNoZeroes)
	c.begin("v", simple)
	if p := g.last().Peer; p.Process != os.Getpid() {
		t.Errorf("peer %+v, want process %d", p, os.Getpid())
	}
	_ = conn.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
}
