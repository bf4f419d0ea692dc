package nbd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
	"pgregory.net/rapid"
)

// wait lets other goroutines run until ok is true.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// TestRequestsAreServedTogether: many reads of a device that waits are inside it at the same time.
func TestRequestsAreServedTogether(t *testing.T) {
	dev := newProbe(1<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{Workers: 64})
	c := attach(t, addr, "v", simple)
	open := dev.hold("read")
	defer open()
	lens := map[uint64]int{}
	for range 64 {
		lens[c.submit(cmdRead, 0, 0, 4096, nil)] = 4096
	}
	wait(t, "64 reads at once", func() bool { return dev.inside.Load() == 64 })
	open()
	for range 64 {
		cookie, res := c.answer(lens, nil)
		if res.errno != 0 || len(res.data) != 4096 {
			t.Fatalf("read %d: errno %d", cookie, res.errno)
		}
		delete(lens, cookie)
	}
}

// makeFast has the device prove that it is fast, so that commands are served in place.
func makeFast(t *testing.T, c *client) {
	t.Helper()
	for range 60 {
		c.mustCall(0, cmdRead, 0, 0, 512, nil)
		c.mustCall(0, cmdFlush, 0, 0, 0, nil)
		c.mustCall(0, cmdTrim, 0, 0, 512, nil)
	}
}

// TestSlowCommandHoldsNobodyUp: whatever hangs, on a device known as fast, other requests of the same connection are
// answered meanwhile, those that came in one packet with it included.
func TestSlowCommandHoldsNobodyUp(t *testing.T) {
	slow := []struct {
		method  string
		cmd     command
		flags   uint16
		n       uint64
		payload []byte
	}{
		{"flush", cmdFlush, 0, 0, nil},
		{"trim", cmdTrim, 0, 512, nil},
		{"zero", cmdWriteZeroes, 0, 512, nil},
		{"write", cmdWrite, 0, 512, make([]byte, 512)},
		{"write", cmdWrite, cmdFlagFUA, 512, make([]byte, 512)},
		{"extents", cmdRead, 0, holesFrom, nil},
	}
	for _, s := range slow {
		t.Run(s.method, func(t *testing.T) {
			dev := newProbe(1<<20, 512)
			_, addr := startServer(t, shelf{"v": dev}, Options{})
			c := attach(t, addr, "v", structured)
			makeFast(t, c)
			for round := range 3 {
				open := dev.hold(s.method)
				// One packet: the command that hangs, and others before and behind it.
				var b []byte
				lens := map[uint64]int{}
				add := func(r request, payload []byte) uint64 {
					c.next++
					r.cookie = c.next
					b = append(append(b, c.header(r)...), payload...)
					if r.cmd == cmdRead {
						lens[r.cookie] = int(r.n)
					}
					return r.cookie
				}
				for range 5 {
					add(request{cmd: cmdRead, n: 512}, nil)
				}
				hung := add(request{cmd: s.cmd, flags: s.flags, n: s.n}, s.payload)
				for range 5 {
					add(request{cmd: cmdRead, n: 512}, nil)
				}
				c.write(b)
				for range 10 {
					if cookie, res := c.answer(lens, map[uint64]uint64{}); cookie == hung || res.errno != 0 {
						t.Fatalf("round %d: answer to %d with errno %d", round, cookie, res.errno)
					}
				}
				open()
				if cookie, res := c.answer(lens, map[uint64]uint64{}); cookie != hung || res.errno != 0 {
					t.Fatalf("round %d: answer to %d with errno %d, want %d", round, cookie, res.errno, hung)
				}
			}
			c.mustWrite(4096, pattern(1, 100_000))
			c.mustRead(4096, pattern(1, 100_000))
		})
	}
}

// TestWritesAreBatched: writes that arrive while the device is busy are handed over together.
func TestWritesAreBatched(t *testing.T) {
	dev := newProbe(1<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	c := attach(t, addr, "v", simple)
	var b []byte
	for i := range 100 {
		c.next++
		b = append(b, c.header(request{cmd: cmdWrite, cookie: c.next, off: uint64(i * 1024), n: 1024})...)
		b = append(b, pattern(byte(i), 1024)...)
	}
	c.write(b)
	for range 100 {
		if _, res := c.answer(nil, nil); res.errno != 0 {
			t.Fatalf("errno %d", res.errno)
		}
	}
	if n := dev.count("batch"); n > 50 {
		t.Errorf("100 writes sent at once came as %d batches", n)
	}
	for i := range 100 {
		c.mustRead(uint64(i*1024), pattern(byte(i), 1024))
	}
}

// TestRandomTraffic compares the export with a model, with any number of requests in flight that do not overlap, cut
// into packets of any size.
func TestRandomTraffic(t *testing.T) {
	for name, form := range styles {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { randomTraffic(t, rt, form) })
		})
	}
}

func randomTraffic(t *testing.T, rt *rapid.T, form style) {
	const slots, slot = 12, 40 << 10
	dev := newProbe(slots*slot, 512)
	s := NewServer(shelf{"v": dev}, Options{})
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := greetServer(t, conn, clientFixedNewstyle)
	c.begin("v", form)
	model := make([]byte, slots*slot)
	for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
		trafficRound(rt, c, model, slot)
	}
}

// trafficRound sends up to one request for each slot, and checks all answers.
func trafficRound(rt *rapid.T, c *client, model []byte, slot int) {
	type sent struct {
		r    request
		want []byte
	}
	inFlight := map[uint64]sent{}
	lens, offs := map[uint64]int{}, map[uint64]uint64{}
	var b []byte
	for i := range len(model) / slot {
		cmd := rapid.SampledFrom([]command{cmdRead, cmdWrite, cmdWrite, cmdTrim, cmdWriteZeroes, cmdCache}).Draw(rt, "cmd")
		from := rapid.IntRange(0, slot-1).Draw(rt, "from")
		n := rapid.IntRange(1, slot-from).Draw(rt, "n")
		c.next++
		r := request{cookie: c.next, cmd: cmd, off: uint64(i*slot + from), n: uint64(n)}
		if rapid.Bool().Draw(rt, "fua") {
			r.flags = cmdFlagFUA
		}
		part := model[i*slot+from:][:n]
		var payload []byte
		switch cmd {
		case cmdRead:
			lens[r.cookie] = n
		case cmdWrite:
			payload = pattern(byte(c.next), n)
			copy(part, payload)
			if c.form == extended {
				r.flags |= cmdFlagPayloadLen
			}
		case cmdTrim, cmdWriteZeroes:
			clear(part)
		}
		offs[r.cookie] = r.off
		inFlight[r.cookie] = sent{r, part}
		b = append(append(b, c.header(r)...), payload...)
	}
	cuts := len(b)/rapid.IntRange(1, 300).Draw(rt, "packets") + 1
	var sender sync.WaitGroup
	sender.Go(func() {
		for len(b) > 0 {
			n := min(cuts, len(b))
			if _, err := c.conn.Write(b[:n]); err != nil {
				return
			}
			b = b[n:]
		}
	})
	for range len(inFlight) {
		cookie, res := c.answer(lens, offs)
		s, ok := inFlight[cookie]
		delete(inFlight, cookie)
		if !ok || res.errno != 0 || s.r.cmd == cmdRead && !bytes.Equal(res.data, s.want) {
			rt.Fatalf("answer to %+v: errno %d %q, or wrong data", s.r, res.errno, res.text)
		}
	}
	sender.Wait()
}

// TestFlushCoversOtherConnections: proto.md, "NBD_FLAG_CAN_MULTI_CONN".
func TestFlushCoversOtherConnections(t *testing.T) {
	dev := newProbe(1<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	one, two := attach(t, addr, "v", simple), attach(t, addr, "v", structured)
	if one.flags&flagCanMultiConn == 0 {
		t.Error("CAN_MULTI_CONN is not set")
	}
	one.mustWrite(0, pattern(1, 4096))
	two.mustCall(0, cmdFlush, 0, 0, 0, nil)
	two.mustRead(0, pattern(1, 4096))
	if dev.count("flush") != 1 {
		t.Errorf("device was flushed %d times, want once", dev.count("flush"))
	}
}

// TestCloseLetsRequestsFinish: what was received before Close is answered, what comes later is refused.
func TestCloseLetsRequestsFinish(t *testing.T) {
	dev := newProbe(1<<20, 512)
	s, addr := startServer(t, shelf{"v": dev}, Options{})
	c := attach(t, addr, "v", simple)
	open := dev.hold("flush")
	first := c.submit(cmdFlush, 0, 0, 0, nil)
	wait(t, "flush in the device", func() bool { return dev.inside.Load() == 1 })
	done := make(chan error)
	go func() { done <- s.Close() }()
	wait(t, "close", s.isClosed)
	if _, err := net.Dial("tcp", addr); err == nil {
		wait(t, "end of listening", func() bool { _, err := net.Dial("tcp", addr); return err != nil })
	}
	select {
	case err := <-done:
		t.Fatalf("close returned %v before the request was answered", err)
	default:
	}
	open()
	if cookie, res := c.answer(nil, nil); cookie != first || res.errno != 0 {
		t.Errorf("answer to %d with errno %d", cookie, res.errno)
	}
	c.gone()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(s.Sessions()) != 0 || dev.uses.Load() != -1 {
		t.Errorf("%d sessions left, %d releases", len(s.Sessions()), -dev.uses.Load())
	}
}

// TestCloseCutsOffDeafClients: a client that never reads does not hold up Close for longer than the drain timeout.
func TestCloseCutsOffDeafClients(t *testing.T) {
	dev := newProbe(64<<20, 512)
	s, addr := startServer(t, shelf{"v": dev}, Options{DrainTimeout: 50 * time.Millisecond})
	c := attach(t, addr, "v", simple)
	for range 4 {
		c.submit(cmdRead, 0, 0, 32<<20, nil)
	}
	wait(t, "reads in the device", func() bool { return dev.count("read") > 0 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestDisconnect(t *testing.T) {
	dev := newProbe(1<<20, 512)
	s, addr := startServer(t, shelf{"v": dev}, Options{})
	c := attach(t, addr, "v", simple)
	var b []byte
	for range 10 { // proto.md, "NBD_CMD_DISC (2)": all outstanding requests are handled
		b = append(b, c.header(request{cmd: cmdFlush})...)
	}
	c.write(append(b, c.header(request{cmd: cmdDisc})...))
	for range 10 {
		if _, res := c.answer(nil, nil); res.errno != 0 {
			t.Errorf("errno %d", res.errno)
		}
	}
	if _, err := c.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after DISC: %v, want EOF", err)
	}
	wait(t, "end of session", func() bool { return len(s.Sessions()) == 0 })
	if n := dev.count("flush"); n != 10 {
		t.Errorf("%d flushes, want 10", n)
	}
}

func TestSessions(t *testing.T) {
	dev := newProbe(1<<20, 512)
	s, addr := startServer(t, shelf{"v": dev}, Options{})
	c := attach(t, addr, "v", simple)
	c.mustWrite(0, make([]byte, 1000))
	c.mustRead(0, make([]byte, 300))
	c.mustCall(eINVAL, cmdRead, 0, 1<<30, 512, nil)
	list := s.Sessions()
	if len(list) != 1 {
		t.Fatalf("%d sessions", len(list))
	}
	got := list[0]
	if got.Export != "v" || got.Peer.String() != c.conn.LocalAddr().String() || got.TLS || got.Requests != 3 ||
		got.BytesRead != 300 || got.BytesWritten != 1000 || got.Since.IsZero() {
		t.Errorf("session is %+v", got)
	}
}

func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/nbd.sock")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(shelf{"v": newProbe(8<<20, 512)}, Options{})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := greetServer(t, conn, clientFixedNewstyle)
	c.begin("v", structured)
	c.mustWrite(0, pattern(1, 4<<20))
	c.mustRead(0, pattern(1, 4<<20))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != ErrServerClosed {
		t.Error(err)
	}
	if err := s.Serve(l); err != ErrServerClosed {
		t.Errorf("serve after close: %v", err)
	}
}

// TestBudgetIsFlowControl: large reads of many connections at once wait for each other instead of failing.
func TestBudgetIsFlowControl(t *testing.T) {
	dev := newProbe(32<<20, 512)
	want := pattern(7, 32<<20)
	if err := dev.Device.WriteAt(want, 0, false); err != nil {
		t.Fatal(err)
	}
	_, addr := startServer(t, shelf{"v": dev}, Options{ConnBytes: 1, TotalBytes: 1}) // raised to the least possible
	var clients sync.WaitGroup
	for range 3 {
		c := attach(t, addr, "v", simple)
		clients.Go(func() {
			lens := map[uint64]int{}
			for range 2 {
				lens[c.submit(cmdRead, 0, 0, 32<<20, nil)] = 32 << 20
			}
			for range 2 {
				if _, res := c.answer(lens, nil); res.errno != 0 || !bytes.Equal(res.data, want) {
					t.Errorf("errno %d, or wrong data", res.errno)
				}
			}
		})
	}
	clients.Wait()
}

var errGone = errors.New("gone")

// TestExportFails: an Exports that fails does not end the handshake.
func TestExportFails(t *testing.T) {
	_, addr := startServer(t, failing{}, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	c.mustOption(optGo, infoData("v"), repErrPolicy)
	c.mustOption(optAbort, nil, repAck)
}

type failing struct{}

func (failing) Export(string) (target.Device, ExportInfo, error) { return nil, ExportInfo{}, errGone }
func (failing) List() []ExportInfo                               { return nil }
