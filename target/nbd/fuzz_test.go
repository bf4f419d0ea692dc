package nbd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

// script is a connection whose other side has said all that it will ever say. What is written to it is dropped.
type script struct {
	*bytes.Reader
}

func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

func scripted(said []byte, opt *Options) *handshake {
	conn := script{bytes.NewReader(said)}
	return &handshake{
		exports: shelf{"v": newProbe(1<<20, 512)}, opt: opt, log: slog.New(slog.DiscardHandler),
		closing: func() bool { return false },
		conn:    conn, r: bufio.NewReader(conn), w: bufio.NewWriter(io.Discard),
	}
}

// FuzzHandshake: whatever a client says, the handshake ends with terms or an error, and terms are valid.
func FuzzHandshake(f *testing.F) {
	say := func(parts ...[]byte) []byte {
		return bytes.Join(append([][]byte{binary.BigEndian.AppendUint32(nil, 3)}, parts...), nil)
	}
	opt := func(o option, data []byte) []byte { return append(optionHeader(o, uint32(len(data))), data...) }
	f.Add(say(opt(optList, nil), opt(optAbort, nil)))
	f.Add(say(opt(optStructuredReply, nil), opt(optSetMetaContext, metaData("v", baseAllocation, "base:")),
		opt(optGo, infoData("v", infoBlockSize, infoName))))
	f.Add(say(opt(optExtendedHeaders, nil), opt(optListMetaContext, metaData("")), opt(optInfo, infoData(""))))
	f.Add(say(opt(optExportName, []byte("v"))))
	f.Add(say(opt(99, make([]byte, 100)), opt(optStartTLS, nil)))
	f.Add(say(optionHeader(optGo, 1<<32-1)))
	f.Fuzz(func(t *testing.T, said []byte) {
		h := scripted(said, &Options{})
		terms, err := h.run(context.Background())
		if (terms == nil) == (err == nil) {
			t.Fatalf("terms %v, error %v", terms, err)
		}
		if terms != nil && (terms.size != 1<<20 || terms.block != 512) {
			t.Fatalf("terms %+v", terms)
		}
	})
}

// FuzzParse: the parsers of option data return what encodes to the same bytes, or an error.
func FuzzParse(f *testing.F) {
	f.Add(infoData("v", 1, 2, 3))
	f.Add(metaData("v", "base:", baseAllocation))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if q, err := parseInfo(data); err == nil && !bytes.Equal(infoData(q.name, q.wants...), data) {
			t.Fatalf("%x became %+v", data, q)
		}
		if q, err := parseMeta(data); err == nil && !bytes.Equal(metaData(q.name, q.queries...), data) {
			t.Fatalf("%x became %+v", data, q)
		}
	})
}

// FuzzTransmission: whatever a client sends, cut into packets of any size, each request with valid magic is answered
// or the connection ends; the device stays as large as it is.
func FuzzTransmission(f *testing.F) {
	c := &client{form: simple}
	f.Add(c.header(request{cmd: cmdRead, n: 512}), uint8(0), uint8(7))
	f.Add(append(c.header(request{cmd: cmdWrite, n: 4}), 1, 2, 3, 4), uint8(1), uint8(3))
	f.Add(append(c.header(request{cmd: cmdFlush}), c.header(request{cmd: cmdDisc})...), uint8(1), uint8(255))
	c.form = extended
	f.Add(append(c.header(request{cmd: cmdWrite, n: 4, flags: cmdFlagPayloadLen}), 1, 2, 3, 4), uint8(2), uint8(50))
	f.Add(c.header(request{cmd: cmdBlockStatus, n: 1 << 20}), uint8(2), uint8(1))
	f.Add(append(c.header(request{cmd: cmdBlockStatus, n: 12, flags: cmdFlagPayloadLen}), make([]byte, 12)...),
		uint8(2), uint8(1))
	s := NewServer(shelf{}, Options{})
	f.Cleanup(func() { _ = s.Close() })
	f.Fuzz(func(t *testing.T, said []byte, form, packet uint8) {
		dev := newProbe(1<<20, 512)
		terms := &terms{dev: dev, size: 1 << 20, block: 512, style: style(form % 3)}
		if terms.style != simple {
			terms.contexts = []metaContext{{baseAllocation, allocation{dev}}}
		}
		tr := &packets{said: said, size: int(packet) + 1}
		c := newConn(s, terms, tr, s.opt.Logger)
		_ = c.serve(nil)
	})
}

// packets is a transport that delivers what was said in packets of one size.
type packets struct {
	said []byte
	size int
}

func (p *packets) Read(b []byte) (int, error) {
	if len(p.said) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.said[:min(p.size, len(p.said))])
	p.said = p.said[n:]
	return n, nil
}

func (*packets) Write(b []byte) (int, error) { return len(b), nil }
func (*packets) WriteAll(net.Buffers) error  { return nil }
func (*packets) StopReading()                {}
func (*packets) Abort()                      {}
func (*packets) Close() error                { return nil }
