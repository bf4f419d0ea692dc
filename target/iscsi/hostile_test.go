package iscsi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/wire"
	"github.com/weirstor/weir/target/memory"
)

// verifier is the good client that runs on meanwhile: it writes stamped blocks and reads them back.
type verifier struct {
	s      *initiator.Session
	rounds atomic.Int64
	stop   chan struct{}
	done   chan error
}

func startVerifier(t *testing.T, addr string) *verifier {
	t.Helper()
	v := &verifier{s: dial(t, addr, "good", initiator.Options{Name: "iqn.2026-11.io.weir.test:good"}),
		stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { v.done <- v.run() }()
	return v
}

func (v *verifier) run() error {
	rnd := rand.New(rand.NewPCG(3, 4))
	p, got := make([]byte, 8192), make([]byte, 8192)
	for n := uint64(1); ; n++ {
		select {
		case <-v.stop:
			return nil
		default:
		}
		off := rnd.Int64N((mib-8192)/512) * 512
		for i := 0; i < len(p); i += 8 {
			binary.BigEndian.PutUint64(p[i:], n<<20+uint64(i))
		}
		if err := errors.Join(v.s.WriteAt(p, off, n%8 == 0), v.s.ReadAt(got, off)); err != nil {
			return err
		}
		if !bytes.Equal(p, got) {
			return fmt.Errorf("round %d: read back something else at %d", n, off)
		}
		v.rounds.Add(1)
	}
}

// check ends the good client and fails the test if it noticed anything.
func (v *verifier) check(t *testing.T) {
	t.Helper()
	close(v.stop)
	if err := <-v.done; err != nil {
		t.Errorf("the good client noticed: %v", err)
	}
	if v.rounds.Load() == 0 {
		t.Error("the good client did nothing")
	}
}

func change(h *wire.Header, f func(h *wire.Header)) *wire.Header {
	f(h)
	return h
}

// Each way to break the protocol ends the connection that does it, or is answered with an error; nobody else notices
// (gotgt: the whole process ends).
func TestHostile(t *testing.T) {
	cases := []struct {
		name string
		do   func(r *raw) // after a login, if it needs one
	}{
		{"random bytes", func(r *raw) {
			rnd := rand.New(rand.NewPCG(5, 6))
			b := make([]byte, 65536)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			_, _ = r.nc.Write(b)
			r.ends()
		}},
		{"a command before the login", func(r *raw) {
			r.command(read10(0, 1), wire.CommandRead, 512, nil)
			r.ends()
		}},
		{"data before the login", func(r *raw) {
			var h wire.Header
			h.SetOpcode(wire.DataOut)
			r.send(&h, make([]byte, 512))
			r.ends()
		}},
		{"an oversized login", func(r *raw) {
			h := loginHeader(1, 3)
			h.SetDataLen(1<<24 - 1)
			_, _ = r.nc.Write(h[:])
			r.ends()
		}},
		{"an endless login", func(r *raw) {
			for range 64 {
				r.send(change(loginHeader(1, 1), func(h *wire.Header) { h.SetFlags(wire.Continue | 1<<2) }), make([]byte, 4096))
			}
			r.ends()
		}},
		{"login text without =", func(r *raw) {
			r.send(loginHeader(1, 3), []byte("InitiatorName\x00"))
			r.ends()
		}},
		{"a second login in the session", func(r *raw) {
			r.login("v")
			r.send(loginHeader(1, 3), pairs("InitiatorName", "x"))
			r.ends()
		}},
		{"an oversized data segment", func(r *raw) {
			r.login("v")
			h := r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 1<<24-1)
			h.SetDataLen(1<<24 - 1)
			_, _ = r.nc.Write(h[:])
			r.ends()
		}},
		{"more immediate data than expected", func(r *raw) {
			r.login("v")
			r.send(r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 512), make([]byte, 1024))
			r.ends()
		}},
		{"immediate data of a read", func(r *raw) {
			r.login("v")
			r.send(r.commandHeader(read10(0, 1), wire.Final|wire.CommandRead, 512), make([]byte, 512))
			r.ends()
		}},
		{"immediate data that was not negotiated", func(r *raw) {
			r.login("v", "ImmediateData", "No")
			r.send(r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 512), make([]byte, 512))
			r.ends()
		}},
		{"unsolicited data that was not negotiated", func(r *raw) {
			r.login("v", "InitialR2T", "Yes")
			r.send(r.commandHeader(write10(0, 4), wire.CommandWrite, 2048), make([]byte, 512))
			r.ends()
		}},
		{"a gap in CmdSN", func(r *raw) {
			r.login("v")
			r.cmdSN++
			r.command(read10(0, 1), wire.CommandRead, 512, nil)
			r.ends()
		}},
		{"CmdSN outside the window", func(r *raw) {
			r.login("v")
			r.cmdSN += 100000
			r.command(read10(0, 1), wire.CommandRead, 512, nil)
			r.cmdSN -= 100001
			ignoredThenServed(r)
		}},
		{"a malformed AHS", func(r *raw) {
			r.login("v")
			h := r.commandHeader(read10(0, 1), wire.Final|wire.CommandRead, 512)
			h[4] = 1
			_, _ = r.nc.Write(append(h[:], 0xff, 0xff, 0x01, 0))
			r.ends()
		}},
		{"a tag in use", func(r *raw) {
			r.login("v")
			waits := r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 512)
			r.send(waits, nil)
			r.receive() // R2T
			again := r.commandHeader(read10(0, 1), wire.Final|wire.CommandRead, 512)
			again.SetITT(waits.ITT())
			r.send(again, nil)
			if h, _ := r.receive(); h.Opcode() != wire.Reject {
				r.t.Errorf("opcode %#x, want a reject", h.Opcode())
			}
		}},
		{"data for nobody", func(r *raw) {
			r.login("v")
			var h wire.Header
			h.SetOpcode(wire.DataOut)
			h.SetFlags(wire.Final)
			h.SetITT(0xabcdef)
			r.send(&h, make([]byte, 512))
			ignoredThenServed(r)
		}},
		{"SNACK", func(r *raw) {
			r.login("v")
			var h wire.Header
			h.SetOpcode(wire.SNACKReq)
			h.SetFlags(wire.Final)
			r.send(&h, nil)
			if h, _ := r.receive(); h.Opcode() != wire.Reject {
				r.t.Errorf("opcode %#x, want a reject", h.Opcode())
			}
			ignoredThenServed(r)
		}},
		{"an unknown opcode", func(r *raw) {
			r.login("v")
			var h wire.Header
			h.SetOpcode(0x1f)
			r.send(&h, make([]byte, 1000))
			if h, _ := r.receive(); h.Opcode() != wire.Reject {
				r.t.Errorf("opcode %#x, want a reject", h.Opcode())
			}
			ignoredThenServed(r)
		}},
		{"a wrong header digest", func(r *raw) {
			r.login("v", "HeaderDigest", "CRC32C")
			h := r.commandHeader(read10(0, 1), wire.Final|wire.CommandRead, 512)
			_, _ = r.nc.Write(append(h[:], 1, 2, 3, 4))
			r.ends()
		}},
		{"endless text", func(r *raw) {
			r.login("v")
			for range 64 {
				var h wire.Header
				h.SetOpcode(wire.TextReq)
				h.SetImmediate()
				h.SetFlags(wire.Continue)
				h.SetITT(5)
				h.SetWord(wire.OffTTT, wire.NoTag)
				r.send(&h, make([]byte, 8192))
			}
			var h wire.Header
			h.SetOpcode(wire.TextReq)
			h.SetImmediate()
			h.SetFlags(wire.Continue)
			h.SetWord(wire.OffTTT, 1)
			for range 64 {
				r.send(&h, make([]byte, 8192))
			}
		}},
		{"half a PDU", func(r *raw) {
			r.login("v")
			h := r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 512)
			h.SetDataLen(512)
			_, _ = r.nc.Write(append(h[:], make([]byte, 100)...))
		}},
		{"many immediate commands", func(r *raw) {
			r.login("v")
			for range 1000 {
				h := r.commandHeader(write10(0, 1), wire.Final|wire.CommandWrite, 512)
				h.SetImmediate()
				r.send(h, nil)
			}
			rejected := 0
			for range 1000 {
				if h, _ := r.receive(); h.Opcode() == wire.Reject && h[2] == 6 {
					rejected++
				}
			}
			if rejected < 900 {
				r.t.Errorf("%d of 1000 immediate commands rejected", rejected)
			}
		}},
		{"commands without reading answers", func(r *raw) {
			r.login("v")
			_ = r.nc.SetDeadline(time.Now().Add(300 * time.Millisecond))
			for range 20000 {
				h := r.commandHeader(read10(0, 128), wire.Final|wire.CommandRead, 65536)
				if _, err := r.nc.Write(h[:]); err != nil {
					break
				}
			}
		}},
	}
	addr, srv := serve(t, new(shelf).with("v", memory.New(mib, 512)).with("good", memory.New(mib, 512)), iscsi.Options{})
	v := startVerifier(t, addr)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := dialRaw(t, addr)
			r.t = t
			tc.do(r)
		})
	}
	v.check(t)
	if n := len(srv.Sessions()); n > 2 {
		t.Errorf("%d sessions are left", n)
	}
}

// ignoredThenServed sends a read that is in order and expects its answer next.
func ignoredThenServed(r *raw) {
	r.t.Helper()
	h := r.command(read10(0, 1), wire.CommandRead, 512, nil)
	if got, _ := r.receive(); got.Opcode() != wire.DataIn || got.ITT() != h.ITT() {
		r.t.Errorf("opcode %#x for tag %d, want data for %d", got.Opcode(), got.ITT(), h.ITT())
	}
}

// Data that does not fit what was asked for fails its command and changes nothing.
func TestBadData(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(h *wire.Header)
		n      int
	}{
		{"beyond the transfer", func(*wire.Header) {}, 2048},
		{"at another offset", func(h *wire.Header) { h.SetWord(wire.OffBufferOff, 512) }, 512},
		{"at a huge offset", func(h *wire.Header) { h.SetWord(wire.OffBufferOff, 0xfffffe00) }, 512},
		{"with another DataSN", func(h *wire.Header) { h.SetWord(wire.OffDataSN, 27) }, 1024},
		{"with another tag", func(h *wire.Header) { h.SetWord(wire.OffTTT, 0x1234) }, 1024},
		{"unsolicited", func(h *wire.Header) { h.SetWord(wire.OffTTT, wire.NoTag) }, 1024},
		{"that ends too early", func(*wire.Header) {}, 512},
		{"that does not end", func(h *wire.Header) { h.SetFlags(0) }, 1024},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr, dev := newDisk(t, mib, 512)
			r := dialRaw(t, addr)
			r.login("v")
			h := r.command(write10(0, 2), wire.CommandWrite, 1024, nil)
			ask, _ := r.receive()
			if ask.Opcode() != wire.R2T {
				t.Fatalf("opcode %#x, want an R2T", ask.Opcode())
			}
			var out wire.Header
			out.SetOpcode(wire.DataOut)
			out.SetFlags(wire.Final)
			out.SetITT(h.ITT())
			out.SetWord(wire.OffTTT, ask.Word(wire.OffTTT))
			tc.change(&out)
			r.send(&out, bytes.Repeat([]byte{0xff}, tc.n))
			got, data := r.receive()
			if got.Opcode() != wire.SCSIResponse || got[3] != 2 || len(data) < 16 || data[4]&0xf != 0xb {
				t.Errorf("opcode %#x, status %#x, %x; want ABORTED COMMAND", got.Opcode(), got[3], data)
			}
			ignoredThenServed(r)
			p := make([]byte, 4096)
			if err := dev.ReadAt(p, 0); err != nil || !bytes.Equal(p, make([]byte, 4096)) {
				t.Errorf("the device was written to (%v)", err)
			}
		})
	}
}

// A write never reaches beyond its transfer length, whatever the initiator says it has (gotgt: the next blocks are
// overwritten), and the residual tells.
func TestResidual(t *testing.T) {
	addr, dev := newDisk(t, mib, 512)
	r := dialRaw(t, addr)
	r.login("v")
	r.command(write10(0, 2), wire.CommandWrite, 2048, bytes.Repeat([]byte{1}, 2048))
	h, _ := r.receive()
	if h[3] != 0 || h.Flags()&wire.ResidualUnd == 0 || h.Word(wire.OffLength) != 1024 {
		t.Errorf("status %#x, flags %#02x, residual %d; want an underflow of 1024", h[3], h.Flags(), h.Word(wire.OffLength))
	}
	p := make([]byte, 2048)
	if err := dev.ReadAt(p, 0); err != nil || !bytes.Equal(p, append(bytes.Repeat([]byte{1}, 1024), make([]byte, 1024)...)) {
		t.Errorf("the device does not hold exactly two blocks (%v)", err)
	}
	r.command(read10(0, 4), wire.CommandRead, 512, nil)
	h, data := r.receive()
	if len(data) != 512 || h.Flags()&wire.ResidualOver == 0 || h.Word(wire.OffLength) != 1536 {
		t.Errorf("%d bytes, flags %#02x, residual %d; want an overflow of 1536", len(data), h.Flags(), h.Word(wire.OffLength))
	}
}

// Logins during I/O, far more than there may be half-open connections, harm nobody (gotgt: they end the process).
func TestLoginFlood(t *testing.T) {
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512)).with("good", memory.New(mib, 512)),
		iscsi.Options{HalfOpenMax: 8})
	v := startVerifier(t, addr)
	var idle []net.Conn
	for range 100 {
		if nc, err := net.Dial("tcp", addr); err == nil {
			idle = append(idle, nc)
		}
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				opt := initiator.Options{Name: fmt.Sprintf("iqn.2026-11.io.weir.test:%d-%d", w, i%3)}
				s, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), opt)
				if err != nil {
					t.Errorf("login %d beside half-open connections: %v", i, err)
					return
				}
				if err := errors.Join(s.ReadAt(make([]byte, 512), 0), s.Logout()); err != nil {
					t.Errorf("session %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	v.check(t)
	for _, nc := range idle {
		_ = nc.Close()
	}
}
