package nbd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
)

// shelf is an Exports with fixed devices.
type shelf map[string]target.Device

func (s shelf) Export(name string) (target.Device, ExportInfo, error) {
	dev, ok := s[name]
	if !ok {
		return nil, ExportInfo{}, fmt.Errorf("%w: %q", ErrUnknownExport, name)
	}
	return dev, s.info(name), nil
}

func (s shelf) info(name string) ExportInfo {
	return ExportInfo{Name: name, Description: "the device " + name}
}

func (s shelf) List() []ExportInfo {
	var list []ExportInfo
	for name := range s {
		list = append(list, s.info(name))
	}
	return list
}

// startServer serves e on a loopback port, and closes the server when the test ends.
func startServer(t testing.TB, e Exports, opt Options) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(e, opt)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-done; err != ErrServerClosed {
			t.Errorf("serve returned %v, want ErrServerClosed", err)
		}
	})
	return s, l.Addr().String()
}

// client is a plain NBD client that can also say things which no good client says.
type client struct {
	t    testing.TB
	conn net.Conn
	form style
	next uint64 // cookie

	size  uint64
	flags uint16
}

// dial connects and exchanges flags.
func dial(t testing.TB, addr string, flags uint32) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return greetServer(t, conn, flags)
}

func greetServer(t testing.TB, conn net.Conn, flags uint32) *client {
	t.Helper()
	c := &client{t: t, conn: conn}
	c.patience(2 * time.Minute)
	b := c.read(18)
	if binary.BigEndian.Uint64(b) != magicInit || binary.BigEndian.Uint64(b[8:]) != magicOption {
		t.Fatalf("greeting is %x", b)
	}
	c.write(binary.BigEndian.AppendUint32(nil, flags))
	return c
}

// attach connects to export name with GO, in the given form.
func attach(t testing.TB, addr, name string, form style) *client {
	t.Helper()
	c := dial(t, addr, clientFixedNewstyle|clientNoZeroes)
	c.begin(name, form)
	return c
}

// begin negotiates form and sends GO.
func (c *client) begin(name string, form style, infos ...uint16) {
	c.t.Helper()
	c.agree(form)
	replies := c.option(optGo, infoData(name, infos...))
	last := replies[len(replies)-1]
	if last.kind != repAck {
		c.t.Fatalf("GO %q: reply %#x %q", name, uint32(last.kind), last.data)
	}
	for _, r := range replies[:len(replies)-1] {
		if binary.BigEndian.Uint16(r.data) == infoExport {
			c.size = binary.BigEndian.Uint64(r.data[2:])
			c.flags = binary.BigEndian.Uint16(r.data[10:])
		}
	}
}

func (c *client) agree(form style) {
	c.t.Helper()
	switch form {
	case structured:
		c.mustOption(optStructuredReply, nil, repAck)
	case extended:
		c.mustOption(optExtendedHeaders, nil, repAck)
	}
	c.form = form
}

func (c *client) patience(d time.Duration) { _ = c.conn.SetDeadline(time.Now().Add(d)) }

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("client write: %v", err)
	}
}

func (c *client) read(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.t.Fatalf("client read of %d bytes: %v", n, err)
	}
	return b
}

// gone checks that the server has closed the connection, after any bytes it had sent before.
func (c *client) gone() {
	c.t.Helper()
	if _, err := io.Copy(io.Discard, c.conn); err != nil && isTick(err) {
		c.t.Fatalf("connection is still open: %v", err)
	}
}

type reply struct {
	kind optionReply
	data []byte
}

func optionHeader(o option, n uint32) []byte {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, uint32(o))
	return binary.BigEndian.AppendUint32(b, n)
}

// option sends o and returns all replies, the final one last.
func (c *client) option(o option, data []byte) []reply {
	c.t.Helper()
	c.write(append(optionHeader(o, uint32(len(data))), data...))
	return c.replies(o)
}

func (c *client) replies(o option) []reply {
	c.t.Helper()
	var list []reply
	for {
		b := c.read(20)
		if binary.BigEndian.Uint64(b) != magicOptionReply || option(binary.BigEndian.Uint32(b[8:])) != o {
			c.t.Fatalf("option %d: reply header is %x", o, b)
		}
		r := reply{kind: optionReply(binary.BigEndian.Uint32(b[12:]))}
		r.data = c.read(int(binary.BigEndian.Uint32(b[16:])))
		list = append(list, r)
		if r.kind == repAck || r.kind >= 1<<31 {
			return list
		}
	}
}

// mustOption checks the kind of the final reply.
func (c *client) mustOption(o option, data []byte, want optionReply) []reply {
	c.t.Helper()
	list := c.option(o, data)
	if got := list[len(list)-1]; got.kind != want {
		c.t.Fatalf("option %d: reply %#x %q, want %#x", o, uint32(got.kind), got.data, uint32(want))
	}
	return list
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func infoData(name string, infos ...uint16) []byte {
	b := binary.BigEndian.AppendUint16(text(nil, name), uint16(len(infos)))
	for _, i := range infos {
		b = binary.BigEndian.AppendUint16(b, i)
	}
	return b
}

func metaData(name string, queries ...string) []byte {
	b := binary.BigEndian.AppendUint32(text(nil, name), uint32(len(queries)))
	for _, q := range queries {
		b = text(b, q)
	}
	return b
}

// header encodes a request.
func (c *client) header(r request) []byte {
	magic := magicRequest
	if c.form == extended {
		magic = magicExtendedRequest
	}
	b := binary.BigEndian.AppendUint32(nil, magic)
	b = binary.BigEndian.AppendUint16(b, r.flags)
	b = binary.BigEndian.AppendUint16(b, uint16(r.cmd))
	b = binary.BigEndian.AppendUint64(b, r.cookie)
	b = binary.BigEndian.AppendUint64(b, r.off)
	if c.form == extended {
		return binary.BigEndian.AppendUint64(b, r.n)
	}
	return binary.BigEndian.AppendUint32(b, uint32(r.n))
}

// submit sends a request and returns its cookie. A WRITE sends payload.
func (c *client) submit(cmd command, flags uint16, off, n uint64, payload []byte) uint64 {
	c.t.Helper()
	c.next++
	if c.form == extended && payload != nil {
		flags |= cmdFlagPayloadLen
	}
	c.write(append(c.header(request{cookie: c.next, cmd: cmd, flags: flags, off: off, n: n}), payload...))
	return c.next
}

// result is the whole answer to one request.
type result struct {
	errno  errno
	text   string
	errOff uint64
	data   []byte // of a READ, put together
	chunks int
	holes  int
	status map[uint32][]extent
}

// call sends a request, waits for its answer and returns it. Nothing else may be in flight.
func (c *client) call(cmd command, flags uint16, off, n uint64, payload []byte) result {
	c.t.Helper()
	cookie := c.submit(cmd, flags, off, n, payload)
	want := 0
	if cmd == cmdRead {
		want = int(n)
	}
	got, res := c.answer(map[uint64]int{cookie: want}, map[uint64]uint64{cookie: off})
	if got != cookie {
		c.t.Fatalf("answer to %d, want %d", got, cookie)
	}
	return res
}

// answer receives one whole answer. lens and offs tell, for each cookie in flight, the bytes that a READ expects and
// where.
func (c *client) answer(lens map[uint64]int, offs map[uint64]uint64) (uint64, result) {
	c.t.Helper()
	res := result{status: map[uint32][]extent{}}
	for {
		magic := binary.BigEndian.Uint32(c.read(4))
		if magic == magicSimpleReply {
			b := c.read(12)
			res.errno = errno(binary.BigEndian.Uint32(b))
			cookie := binary.BigEndian.Uint64(b[4:])
			if c.form == extended || c.form == structured && lens[cookie] > 0 {
				c.t.Fatalf("simple reply in form %d", c.form)
			}
			if res.errno == 0 {
				res.data = c.read(lens[cookie])
			}
			return cookie, res
		}
		cookie, done := c.chunk(magic, &res, lens, offs)
		if done {
			return cookie, res
		}
	}
}

// chunk receives the rest of a chunk after its magic.
func (c *client) chunk(magic uint32, res *result, lens map[uint64]int, offs map[uint64]uint64) (uint64, bool) {
	c.t.Helper()
	want, size := magicStructuredReply, 16
	if c.form == extended {
		want, size = magicExtendedReply, 28
	}
	if magic != want {
		c.t.Fatalf("reply magic is %#x, want %#x", magic, want)
	}
	b := c.read(size)
	flags, kind := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	cookie := binary.BigEndian.Uint64(b[4:])
	n := int(binary.BigEndian.Uint32(b[size-4:]))
	if c.form == extended && binary.BigEndian.Uint64(b[12:]) != offs[cookie] {
		c.t.Fatalf("extended reply has offset %d, want %d", binary.BigEndian.Uint64(b[12:]), offs[cookie])
	}
	p := c.read(n)
	res.chunks++
	if res.data == nil && (kind == replyOffsetData || kind == replyOffsetHole) {
		res.data = bytes.Repeat([]byte{0xee}, lens[cookie])
	}
	switch kind {
	case replyNone:
	case replyOffsetData:
		copy(res.data[binary.BigEndian.Uint64(p)-offs[cookie]:], p[8:])
	case replyOffsetHole:
		at := binary.BigEndian.Uint64(p) - offs[cookie]
		clear(res.data[at : at+uint64(binary.BigEndian.Uint32(p[8:]))])
		res.holes++
	case replyBlockStatus:
		id := binary.BigEndian.Uint32(p)
		for p = p[4:]; len(p) > 0; p = p[8:] {
			res.status[id] = append(res.status[id],
				extent{uint64(binary.BigEndian.Uint32(p)), binary.BigEndian.Uint32(p[4:])})
		}
	case replyBlockStatusExt:
		id := binary.BigEndian.Uint32(p)
		for p = p[8:]; len(p) > 0; p = p[16:] {
			res.status[id] = append(res.status[id],
				extent{binary.BigEndian.Uint64(p), uint32(binary.BigEndian.Uint64(p[8:]))})
		}
	case replyError, replyErrorOffset:
		res.errno = errno(binary.BigEndian.Uint32(p))
		m := int(binary.BigEndian.Uint16(p[4:]))
		res.text = string(p[6 : 6+m])
		if kind == replyErrorOffset {
			res.errOff = binary.BigEndian.Uint64(p[6+m:])
		}
	default:
		c.t.Fatalf("chunk type %d", kind)
	}
	return cookie, flags&replyFlagDone != 0
}

func (c *client) mustCall(want errno, cmd command, flags uint16, off, n uint64, payload []byte) result {
	c.t.Helper()
	res := c.call(cmd, flags, off, n, payload)
	if res.errno != want {
		c.t.Fatalf("command %d flags %#x at %d+%d: errno %d (%s), want %d", cmd, flags, off, n, res.errno, res.text, want)
	}
	return res
}

func (c *client) mustWrite(off uint64, p []byte) {
	c.t.Helper()
	c.mustCall(0, cmdWrite, 0, off, uint64(len(p)), p)
}

func (c *client) mustRead(off uint64, want []byte) {
	c.t.Helper()
	res := c.mustCall(0, cmdRead, 0, off, uint64(len(want)), nil)
	if !bytes.Equal(res.data, want) {
		c.t.Fatalf("read of %d+%d differs from what was written", off, len(want))
	}
}

// pattern returns n bytes that differ from those of other seeds.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range min(n, 65_521) {
		b[i] = byte(i*7+i>>8) ^ seed
	}
	for done := 65_521; done < n; done *= 2 {
		copy(b[done:], b[:done])
	}
	return b
}
