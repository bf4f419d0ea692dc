package nbd

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// attack is what a hostile client does. It must leave the connection in a state in which the server has closed it, or
// close it itself.
type attack struct {
	name string
	do   func(t *testing.T, addr string)
}

func magicOnly(b ...byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, magicOption), b...)
}

var attacks = []attack{
	{"nothing at all", func(t *testing.T, addr string) { _ = dial(t, addr, 3).conn.Close() }},
	{"unknown client flags", func(t *testing.T, addr string) { dial(t, addr, 1<<31|3).gone() }},
	{"random bytes as greeting", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		_, _ = c.conn.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 100))
		c.gone()
	}},
	{"option with the wrong magic", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(make([]byte, 16))
		c.gone()
	}},
	{"option of 4 GiB", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(optionHeader(optGo, 1<<32-1))
		c.gone()
	}},
	{"unknown option of 4 GiB", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(optionHeader(4711, 1<<32-1))
		c.gone()
	}},
	{"export name of 4 GiB", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(optionHeader(optExportName, 1<<32-1))
		c.gone()
	}},
	{"half an option header", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(magicOnly(0, 0))
		_ = c.conn.Close()
	}},
	{"half the data of an option", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(append(optionHeader(optGo, 1000), 1, 2, 3))
		_ = c.conn.Close()
	}},
	{"clear text behind STARTTLS", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(append(optionHeader(optStartTLS, 0), optionHeader(optList, 0)...))
		_ = c.conn.Close()
	}},
	{"requests before the export", func(t *testing.T, addr string) {
		c := dial(t, addr, 3)
		c.write(c.header(request{cmd: cmdRead, n: 512}))
		c.gone()
	}},
	{"request with the wrong magic", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", simple)
		c.write(make([]byte, requestSize))
		c.gone()
	}},
	{"extended request without agreement", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", simple)
		c.form = extended
		c.write(c.header(request{cmd: cmdRead, n: 512}))
		c.gone()
	}},
	{"compact request after extended headers", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", extended)
		c.form = simple
		c.write(append(c.header(request{cmd: cmdRead, n: 512}), 0, 0, 0, 0))
		c.gone()
	}},
	{"write of 4 GiB", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(c.header(request{cmd: cmdWrite, n: 1<<32 - 1}))
		c.gone()
	}},
	{"payload of 2^63 bytes", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", extended)
		c.write(c.header(request{cmd: cmdTrim, flags: cmdFlagPayloadLen, n: 1 << 63}))
		c.gone()
	}},
	{"half a request", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(c.header(request{cmd: cmdRead, n: 512})[:9])
		_ = c.conn.Close()
	}},
	{"half a write", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(append(c.header(request{cmd: cmdWrite, n: 1 << 20}), make([]byte, 1000)...))
		_ = c.conn.Close()
	}},
	{"half a large write", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(append(c.header(request{cmd: cmdWrite, off: 4 << 20, n: 8 << 20}), make([]byte, 1000)...))
		_ = c.conn.Close()
	}},
	{"half a refused write", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(append(c.header(request{cmd: cmdWrite, off: 1 << 50, n: 8 << 20}), make([]byte, 1000)...))
		_ = c.conn.Close()
	}},
	{"requests without reading replies", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		b := bytes.Repeat(c.header(request{cmd: cmdRead, n: 1 << 20}), 1000)
		_, _ = c.conn.Write(b)
		_ = c.conn.Close()
	}},
	{"requests behind a disconnect", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", structured)
		c.write(append(c.header(request{cmd: cmdDisc}), c.header(request{cmd: cmdFlush})...))
		c.gone()
	}},
	{"one cookie for everything", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", simple)
		c.write(bytes.Repeat(c.header(request{cmd: cmdFlush, cookie: 1}), 100))
		c.read(100 * simpleReplySize)
		_ = c.conn.Close()
	}},
	{"every command number, with every flag", func(t *testing.T, addr string) {
		c := attach(t, addr, "v", simple)
		for cmd := range command(64) {
			if cmd == cmdDisc || cmd == cmdWrite {
				continue
			}
			for bit := range 16 {
				c.write(c.header(request{cmd: cmd, flags: 1 << bit, n: 0}))
				c.read(simpleReplySize)
			}
		}
		_ = c.conn.Close()
	}},
}

// TestHostileClients runs every attack while a good client works on the same server and notices nothing.
func TestHostileClients(t *testing.T) {
	dev := newProbe(32<<20, 512)
	s, addr := startServer(t, shelf{"v": dev}, Options{HandshakeTimeout: 5 * time.Second})
	good := attach(t, addr, "v", structured)
	var stop atomic.Bool
	rounds := make(chan int, 1)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			p := pattern(byte(n), 20_000)
			good.mustWrite(16<<20, p)
			good.mustRead(16<<20, p)
		}
		rounds <- n
	}()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { a.do(t, addr) })
	}
	stop.Store(true)
	if n := <-rounds; n == 0 {
		t.Error("the good client did nothing")
	}
	wait(t, "end of the bad sessions", func() bool { return len(s.Sessions()) == 1 })
	good.mustCall(0, cmdFlush, 0, 0, 0, nil)
}

// TestLengthsAreBoundedBeforeAllocation: a header that announces much costs nothing.
func TestLengthsAreBoundedBeforeAllocation(t *testing.T) {
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		c := dial(t, addr, 3)
		c.write(optionHeader(optInfo, 1<<32-1))
		c.gone()
		c = attach(t, addr, "v", extended)
		c.write(c.header(request{cmd: cmdWrite, flags: cmdFlagPayloadLen, n: 1 << 40}))
		c.gone()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// TestHandshakeFlood: half-open connections beyond the limit displace each other, not honest clients.
func TestHandshakeFlood(t *testing.T) {
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{MaxHandshakes: 16})
	served := attach(t, addr, "v", simple)
	var flood []net.Conn
	for i := range 1000 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, conn)
		if i%100 == 50 {
			attach(t, addr, "v", simple).mustRead(0, make([]byte, 512))
			served.mustRead(0, make([]byte, 512))
		}
	}
	for _, conn := range flood {
		_ = conn.Close()
	}
}

// TestHandshakeTimeout: whoever does not finish the handshake is disconnected.
func TestHandshakeTimeout(t *testing.T) {
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{HandshakeTimeout: 50 * time.Millisecond})
	c := dial(t, addr, 3)
	c.write(magicOnly())
	c.gone()
}

// TestStalledClient: half a request, then silence.
func TestStalledClient(t *testing.T) {
	l := &lane{in: make([]byte, 100), pos: 0, end: 10}
	c := &conn{opt: &Options{StallTimeout: time.Minute, IdleTimeout: time.Hour}}
	if err := c.checkStall(l); err != nil || l.waiting == 0 {
		t.Fatalf("first look: %v", err)
	}
	l.waiting -= int64(2 * time.Minute)
	if err := c.checkStall(l); err == nil {
		t.Error("a client that has been silent in a request for two minutes is still waited for")
	}
	l.pos = l.end
	if err := c.checkStall(l); err != nil || l.waiting != 0 {
		t.Errorf("between requests: %v", err)
	}
	l.quiet -= int64(2 * time.Hour)
	if err := c.checkStall(l); err == nil {
		t.Error("a client that has been idle for two hours is still waited for")
	}
}

func TestTooManyConnections(t *testing.T) {
	_, addr := startServer(t, shelf{"v": newProbe(1<<20, 512)}, Options{MaxConnections: 2})
	one, two := attach(t, addr, "v", simple), attach(t, addr, "v", simple)
	one.mustRead(0, make([]byte, 512))
	two.mustRead(0, make([]byte, 512))
	c := dial(t, addr, 3)
	c.mustOption(optGo, infoData("v"), repErrPolicy)
	c.mustOption(optInfo, infoData("v"), repAck)
	c.write(append(optionHeader(optExportName, 1), 'v'))
	c.gone()
	if _, err := one.conn.Write(one.header(request{cmd: cmdDisc})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, one.conn); err != nil {
		t.Fatal(err)
	}
	wait(t, "a place", func() bool {
		c := dial(t, addr, 3)
		list := c.option(optGo, infoData("v"))
		return list[len(list)-1].kind == repAck
	})
}
