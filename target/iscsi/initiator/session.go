package initiator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// Session is a logged-in session. Its methods may be called from any number of goroutines.
type Session struct {
	opt Options
	iqn string // empty: discovery
	nc  net.Conn
	rd  *wire.Reader
	neg negotiated

	blockSize int
	size      int64

	write struct { // one PDU, or one command with its data, at a time
		sync.Mutex
		head []byte
		vecs net.Buffers
		rest net.Buffers
	}

	mu        sync.Mutex
	room      *sync.Cond // the window opened, or the session ended
	calls     map[uint32]*call
	nextITT   uint32
	cmdSN     uint32
	maxCmdSN  uint32
	expStatSN uint32
	err       error // why the session ended

	wg sync.WaitGroup // reader and its helpers
}

// Dial connects to addr (host:port), logs in to the target and reads its capacity.
func Dial(ctx context.Context, addr, iqn string, opt Options) (*Session, error) {
	s, err := connect(ctx, addr, iqn, opt)
	if err != nil {
		return nil, err
	}
	if err = s.ready(); err == nil {
		err = s.readCapacity()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect logs in and starts the reader.
func connect(ctx context.Context, addr, iqn string, opt Options) (*Session, error) {
	opt = opt.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, opt.LoginTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	s := &Session{opt: opt, iqn: iqn, nc: nc, rd: wire.NewReader(nc, 128<<10), calls: make(map[uint32]*call),
		neg: defaultNegotiated()}
	s.room = sync.NewCond(&s.mu)
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	err = s.login()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("logging in to %s at %s: %w", iqn, addr, err)
	}
	s.wg.Go(s.read)
	return s, nil
}

// Size returns the capacity in bytes, as read when the session began.
func (s *Session) Size() int64 { return s.size }

// BlockSize returns the logical block size in bytes.
func (s *Session) BlockSize() int { return s.blockSize }

// Close ends the connection without a logout and waits for the session's goroutines.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	s.wg.Wait()
	return nil
}

// Logout ends the session in order (RFC 7143, section 11.14).
func (s *Session) Logout() error {
	c := s.newCall()
	err := s.requestLogout(c)
	if err == nil {
		<-c.done
		err = c.outcome
	}
	if err == nil && c.answer[2] != 0 {
		err = fmt.Errorf("%w: logout response %d", ErrProtocol, c.answer[2])
	}
	return errors.Join(err, s.Close())
}

func (s *Session) requestLogout(c *call) error {
	var h wire.Header
	h.SetOpcode(wire.LogoutReq)
	h.SetImmediate()
	h.SetFlags(wire.Final) // reason 0: close the session
	return s.submit(c, &h, nil)
}

// fail ends the session for everybody, once.
func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
		_ = s.nc.Close()
		for itt, c := range s.calls {
			delete(s.calls, itt)
			c.end(err)
		}
		s.room.Broadcast()
	}
	s.mu.Unlock()
}

// read takes PDUs until the connection ends.
func (s *Session) read() {
	var h wire.Header
	for {
		if _, err := s.rd.Next(&h); err != nil {
			s.fail(fmt.Errorf("reading: %w", err))
			return
		}
		if err := s.handle(&h); err != nil {
			s.fail(err)
			return
		}
	}
}

// handle takes one PDU.
func (s *Session) handle(h *wire.Header) error {
	n := h.DataLen()
	s.noteWindow(h)
	switch h.Opcode() {
	case wire.DataIn:
		return s.onDataIn(h)
	case wire.R2T:
		return s.onR2T(h)
	case wire.NopIn:
		return s.onNopIn(h)
	case wire.AsyncMessage:
		if err := s.rd.Data(nil, n); err != nil {
			return err
		}
		return s.onAsync(h)
	case wire.Reject:
		data := make([]byte, n)
		if err := s.rd.Data(data, n); err != nil {
			return err
		}
		return s.onReject(h, data)
	case wire.SCSIResponse, wire.TaskResponse, wire.TextResp, wire.LogoutResp:
		return s.onAnswer(h)
	}
	return fmt.Errorf("%w: opcode %#x", ErrProtocol, h.Opcode())
}

// noteWindow takes the serial numbers of a PDU of the target (RFC 7143, section 4.2.2).
func (s *Session) noteWindow(h *wire.Header) {
	s.mu.Lock()
	if last := h.Word(wire.OffMaxCmdSN); wire.SNLess(s.maxCmdSN, last) {
		s.maxCmdSN = last
		s.room.Broadcast()
	}
	hasStatus := h.Opcode() != wire.R2T && (h.Opcode() != wire.DataIn || h.Flags()&wire.DataStatus != 0) &&
		(h.Opcode() != wire.NopIn || h.ITT() != wire.NoTag)
	if hasStatus {
		s.expStatSN = h.Word(wire.OffStatSN) + 1
	}
	s.mu.Unlock()
}

// onNopIn answers a ping of the target, or ends ours.
func (s *Session) onNopIn(h *wire.Header) error {
	if h.ITT() != wire.NoTag {
		return s.onAnswer(h)
	}
	if err := s.rd.Data(nil, h.DataLen()); err != nil {
		return err
	}
	if h.Word(wire.OffTTT) == wire.NoTag {
		return nil
	}
	var r wire.Header
	r.SetOpcode(wire.NopOut)
	r.SetImmediate()
	r.SetFlags(wire.Final)
	r.SetLUN(h.LUN())
	r.SetITT(wire.NoTag)
	r.SetWord(wire.OffTTT, h.Word(wire.OffTTT))
	return s.send(&r, nil)
}

// onAsync logs out when the target asks for it (RFC 7143, section 11.9.1); the session then ends when the target
// closes the connection. Other events change nothing here.
func (s *Session) onAsync(h *wire.Header) error {
	if h[36] != 1 {
		return nil
	}
	return s.requestLogout(s.newCall())
}

// onReject ends the call whose PDU was rejected (RFC 7143, section 11.17).
func (s *Session) onReject(h *wire.Header, data []byte) error {
	if len(data) < wire.HeaderLen {
		return fmt.Errorf("%w: reject without the header", ErrProtocol)
	}
	was := (*wire.Header)(data)
	if c := s.take(was.ITT()); c != nil {
		c.end(fmt.Errorf("%w: PDU rejected, reason %#x", ErrProtocol, h[2]))
	}
	return nil
}
