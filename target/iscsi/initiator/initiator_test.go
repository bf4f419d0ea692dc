package initiator_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target accepts one connection and plays a target.
func target(t *testing.T, play func(nc net.Conn, rd *wire.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		rd := wire.NewReader(nc, 4096)
		rd.MaxData = 1 << 20
		play(nc, rd)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// next reads one PDU.
func next(rd *wire.Reader) (wire.Header, error) {
	var h wire.Header
	if _, err := rd.Next(&h); err != nil {
		return h, err
	}
	return h, rd.Data(nil, h.DataLen())
}

// answer starts a PDU to the initiator with open window.
func answer(op wire.Opcode, to wire.Header) *wire.Header {
	var h wire.Header
	h.SetOpcode(op)
	h.SetFlags(wire.Final)
	h.SetITT(to.ITT())
	h.SetWord(wire.OffExpCmdSN, to.Word(wire.OffCmdSN)+1)
	h.SetWord(wire.OffMaxCmdSN, to.Word(wire.OffCmdSN)+10)
	return &h
}

// letIn answers both login requests.
func letIn(nc net.Conn, rd *wire.Reader) {
	for _, flags := range []byte{wire.Transit | 1, wire.Transit | 1<<2 | 3} {
		req, err := next(rd)
		if err != nil {
			return
		}
		h := answer(wire.LoginResp, req)
		h.SetFlags(flags)
		h.SetWord(wire.OffExpCmdSN, 1)
		_, _ = nc.Write(wire.AppendPDU(nil, h, nil, false, false))
	}
}

// A target that breaks the protocol makes every call fail with an error; none hangs.
func TestBrokenTarget(t *testing.T) {
	for name, play := range map[string]func(nc net.Conn, rd *wire.Reader, req wire.Header){
		"closes": func(net.Conn, *wire.Reader, wire.Header) {},
		"garbage": func(nc net.Conn, _ *wire.Reader, _ wire.Header) {
			_, _ = nc.Write(make([]byte, 96)) // NOP-Out, which targets do not send
		},
		"data that was not asked for": func(nc net.Conn, _ *wire.Reader, req wire.Header) {
			_, _ = nc.Write(wire.AppendPDU(nil, answer(wire.DataIn, req), make([]byte, 4096), false, false))
		},
		"R2T beyond the data": func(nc net.Conn, _ *wire.Reader, req wire.Header) {
			h := answer(wire.R2T, req)
			h.SetWord(wire.OffLength, 1<<20)
			_, _ = nc.Write(wire.AppendPDU(nil, h, nil, false, false))
		},
		"reject": func(nc net.Conn, rd *wire.Reader, req wire.Header) {
			_, _ = nc.Write(wire.AppendPDU(nil, answer(wire.Reject, wire.Header{}), req[:], false, false))
			_, _ = next(rd)
		},
		"an oversized segment": func(nc net.Conn, _ *wire.Reader, req wire.Header) {
			h := answer(wire.DataIn, req)
			h.SetDataLen(1<<24 - 1)
			_, _ = nc.Write(h[:])
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr := target(t, func(nc net.Conn, rd *wire.Reader) {
				letIn(nc, rd)
				if req, err := next(rd); err == nil {
					play(nc, rd, req)
				}
			})
			s, err := initiator.Dial(context.Background(), addr, "iqn.x", initiator.Options{LoginTimeout: 10 * time.Second})
			if err == nil {
				_ = s.Close()
				t.Fatal("a session with a target that breaks the protocol")
			}
		})
	}
}

func TestLoginFails(t *testing.T) {
	addr := target(t, func(nc net.Conn, rd *wire.Reader) {
		req, err := next(rd)
		if err != nil {
			return
		}
		h := answer(wire.LoginResp, req)
		h.SetWord(wire.OffLoginState, 0x02010000)
		_, _ = nc.Write(wire.AppendPDU(nil, h, nil, false, false))
	})
	var e *initiator.LoginError
	_, err := initiator.Dial(context.Background(), addr, "iqn.x", initiator.Options{})
	if !errors.As(err, &e) || e.Status != 0x0201 || !errors.Is(err, initiator.ErrLogin) {
		t.Errorf("%v, want login status 0x0201", err)
	}
	silent := target(t, func(nc net.Conn, _ *wire.Reader) { _, _ = io.Copy(io.Discard, nc) })
	begin := initiator.Options{LoginTimeout: 50 * time.Millisecond}
	if _, err := initiator.Dial(context.Background(), silent, "iqn.x", begin); err == nil {
		t.Error("a session with a target that says nothing")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := initiator.Dial(ctx, addr, "iqn.x", initiator.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestStatusError(t *testing.T) {
	s := scsi.Sense{Code: scsi.UnrecoveredReadError, Info: 7, HasInfo: true}
	for _, descriptor := range []bool{false, true} {
		e := &initiator.StatusError{Status: scsi.CheckCondition, Sense: s.Append(nil, descriptor)}
		if e.Code() != scsi.UnrecoveredReadError {
			t.Errorf("code %06x (descriptor %v)", uint32(e.Code()), descriptor)
		}
	}
	if c := (&initiator.StatusError{Status: scsi.Busy}).Code(); c != 0 {
		t.Errorf("code %06x without sense", uint32(c))
	}
}
