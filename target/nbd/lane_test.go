package nbd

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
)

// steps is a transport whose reads return the given packets, nil being silence.
type steps struct {
	packets [][]byte
	seen    func(room int)
	sent    bytes.Buffer
}

func (s *steps) Read(p []byte) (int, error) {
	s.seen(len(p))
	if len(s.packets) == 0 {
		return 0, io.EOF
	}
	next := s.packets[0]
	s.packets = s.packets[1:]
	if next == nil {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(p, next), nil
}

func (s *steps) Write(p []byte) (int, error)  { return s.sent.Write(p) }
func (s *steps) WriteAll(b net.Buffers) error { _, err := b.WriteTo(&s.sent); return err }
func (*steps) StopReading()                   {}
func (*steps) Abort()                         {}
func (*steps) Close() error                   { return nil }

// TestIdleConnectionParks: a connection that is silent gives its memory back, and goes on as before.
func TestIdleConnectionParks(t *testing.T) {
	s := NewServer(shelf{}, Options{})
	defer s.Close()
	dev := newProbe(1<<20, 512)
	c := &client{form: structured}
	write := append(c.header(request{cmd: cmdWrite, n: 8192}), pattern(1, 8192)...)
	var rooms []int
	tr := &steps{packets: [][]byte{
		write, nil, nil, write[:100], nil, write[100:1000], write[1000:], nil, write[:parkedBytes], write[parkedBytes:],
	}, seen: func(n int) { rooms = append(rooms, n) }}
	terms := &terms{dev: dev, size: 1 << 20, block: 512, style: structured}
	if err := newConn(s, terms, tr, s.opt.Logger).serve(nil); err != nil {
		t.Fatal(err)
	}
	if dev.count("write") != 3 || tr.sent.Len() != 3*simpleReplySize {
		t.Errorf("%d writes, %d bytes of replies", dev.count("write"), tr.sent.Len())
	}
	parked := 0
	for _, n := range rooms {
		if n == parkedBytes {
			parked++
		}
	}
	if parked != 3 {
		t.Errorf("receive windows of %v, want 3 of %d", rooms, parkedBytes)
	}
}
