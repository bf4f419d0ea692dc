package iscsi

import (
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

const (
	loginBuffer = 8 << 10   // read buffer until the login is done
	readBuffer  = 128 << 10 // and then
	textMax     = 64 << 10  // text of one login step or text request, all PDUs together
)

// errProtocol ends a connection whose initiator broke the protocol.
var errProtocol = errors.New("protocol error")

// conn is one connection and the session on it.
type conn struct {
	srv *Server
	nc  net.Conn
	rd  *wire.Reader // the holder of the role only
	out outbox
	neg negotiated
	id  sessionID

	info  TargetInfo  // of a normal session
	nexus *scsi.Nexus // of a normal session
	tsih  uint16
	place Attachment // guarded by srv.mu until the session begins; nil without Options.Attach
	user  string     // CHAP name
	since time.Time  // begin of the session

	stats struct {
		commands, read, written atomic.Uint64 // read and written in bytes, by the initiator
	}

	role   role
	batch  *batch // the holder of the role only
	paces  [scsi.Other + 1]pace
	budget budget

	expCmdSN  atomic.Uint32 // written by the holder of the role
	maxCmdSN  atomic.Uint32 // guarded by out.mu for writing
	statSN    uint32        // guarded by out.mu
	inflight  atomic.Int32  // commands that hold a place in the window
	immediate atomic.Int32  // immediate commands being carried out
	depth     int32
	nextTTT   uint32 // the holder of the role, or under mu for solicitations
	text      textExchange

	lastSeen atomic.Int64 // clock of the server at the last PDU
	pinged   atomic.Bool
	loggedIn atomic.Bool
	logout   atomic.Bool // the initiator has logged out

	mu    sync.Mutex
	tasks map[uint32]*task
	ended bool // no new tasks

	wg   sync.WaitGroup // workers and readers of this connection
	done chan struct{}  // closed when all is over
	why  error          // valid after done
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, nc: nc, rd: wire.NewReader(nc, loginBuffer), tasks: make(map[uint32]*task),
		done: make(chan struct{})}
	c.out.init(nc)
	c.budget.limit = &s.share
	c.lastSeen.Store(s.clock.Load())
	return c
}

// serve is the life of the connection: login, PDUs, and the end of all that is under way.
func (c *conn) serve() {
	defer close(c.done)
	err := c.login()
	if err == nil {
		c.rd.Grow(readBuffer)
		c.rd.HeaderDigest, c.rd.DataDigest = c.neg.headerDigest, c.neg.dataDigest
		c.rd.MaxData = ourMaxRecv
		c.loggedIn.Store(true)
		c.srv.opt.Logger.Info("iscsi session begins", "initiator", c.id.initiator, "target", c.info.IQN,
			"peer", c.nc.RemoteAddr().String())
		c.wg.Add(1) // until finishReading, whoever that will be
		c.read(0)
	} else {
		c.end(err)
	}
	c.wg.Wait()
	c.srv.leave(c)
	c.detach()
	_ = c.nc.SetWriteDeadline(time.Now().Add(lastWords))
	c.out.drain()
	_ = c.nc.Close()
	c.srv.opt.Logger.Info("iscsi connection ends", "initiator", c.id.initiator, "target", c.info.IQN,
		"peer", c.nc.RemoteAddr().String(), "reason", c.why)
}

// read takes PDUs until the connection ends or another goroutine has the role.
func (c *conn) read(held uint64) {
	var h wire.Header
	for {
		err := c.next(&h, &held)
		if err == nil {
			continue
		}
		if !errors.Is(err, errRoleLost) {
			c.finishReading(err)
		}
		return
	}
}

func (c *conn) next(h *wire.Header, held *uint64) error {
	if !c.rd.Buffered() || c.out.full() {
		if err := c.settle(held); err != nil {
			return err
		}
	}
	ahs, err := c.rd.Next(h)
	if err != nil {
		return err
	}
	c.lastSeen.Store(c.srv.clock.Load())
	c.pinged.Store(false)
	return c.handle(h, ahs, held)
}

// finishReading is the end of the last reader: writes that have come completely are carried out, the rest is dropped.
func (c *conn) finishReading(err error) {
	if b := c.batch; b != nil {
		c.batch = nil
		b.execute()
		b.recycle()
	}
	c.end(err)
	c.out.flush()
	c.wg.Done()
}

// end drops every command that is not with the device. err is the reason why the connection ends.
func (c *conn) end(err error) {
	c.mu.Lock()
	if !c.ended {
		c.ended = true
		c.why = err
	}
	c.mu.Unlock()
	if !errors.Is(err, errLoggedOut) && !c.srv.closing() {
		c.out.fail(err)
	}
	c.abortTasks(newAbort(func() {}), everyTask)
}

// kill ends the connection from outside.
func (c *conn) kill() { _ = c.nc.Close() }

func (c *conn) handle(h *wire.Header, ahs []byte, held *uint64) error {
	n := h.DataLen()
	switch h.Opcode() {
	case wire.SCSICommand:
		return c.onCommand(h, ahs, held)
	case wire.DataOut:
		return c.onDataOut(h, held)
	case wire.NopOut:
		return c.onNopOut(h, n)
	case wire.TaskRequest:
		if err := c.rd.Data(nil, n); err != nil {
			return err
		}
		if err := c.runBatch(held); err != nil {
			return err
		}
		return c.onTaskRequest(h)
	case wire.TextReq:
		return c.onText(h, n)
	case wire.LogoutReq:
		if err := c.rd.Data(nil, n); err != nil {
			return err
		}
		if err := c.runBatch(held); err != nil {
			return err
		}
		return c.onLogout(h)
	}
	if err := c.rd.Data(nil, n); err != nil {
		return err
	}
	if h.Opcode() == wire.LoginReq {
		return c.violation(h, "login request in a session")
	}
	c.reject(h, rejectNotSupported)
	return nil
}

// Verdicts of accept.
const (
	take   = iota // carry out
	ignore        // outside the window: as if it had not come
)

// accept checks CmdSN (RFC 7143, section 4.2.2.1). With one connection commands come in order, so a gap is a loss
// that error recovery level 0 does not mend.
func (c *conn) accept(h *wire.Header) (int, error) {
	if h.Immediate() {
		return take, nil
	}
	sn, exp := h.Word(wire.OffCmdSN), c.expCmdSN.Load()
	switch {
	case wire.SNLess(sn, exp) || wire.SNLess(c.maxCmdSN.Load(), sn):
		return ignore, nil
	case sn != exp:
		return ignore, fmt.Errorf("%w: CmdSN %d, want %d", errProtocol, sn, exp)
	}
	c.expCmdSN.Store(exp + 1)
	return take, nil
}

// Reasons of a Reject (RFC 7143, section 11.17.1).
const (
	rejectDataDigest   = 0x02
	rejectProtocol     = 0x04
	rejectNotSupported = 0x05
	rejectTooMany      = 0x06
	rejectInProgress   = 0x07
	rejectField        = 0x09
)

// reject tells the initiator that h was not carried out.
func (c *conn) reject(h *wire.Header, reason byte) {
	var r wire.Header
	r.SetOpcode(wire.Reject)
	r.SetFlags(wire.Final)
	r[2] = reason
	r.SetITT(wire.NoTag)
	c.reply(&r, h[:])
}

// violation rejects h and ends the connection.
func (c *conn) violation(h *wire.Header, what string) error {
	c.reject(h, rejectProtocol)
	c.out.drain()
	return fmt.Errorf("%w: %s", errProtocol, what)
}

// reply queues a PDU that carries a status, which takes a StatSN.
func (c *conn) reply(h *wire.Header, data []byte) {
	c.out.makeRoom()
	c.out.mu.Lock()
	c.numberLocked(h, true)
	c.out.addLocked(h, data, nil)
	c.out.mu.Unlock()
}

// window returns how many commands the initiator may have with us: as many as have room for their unsolicited data in
// the session's share of memory.
func (c *conn) window() int32 {
	if !c.loggedIn.Load() {
		return c.depth
	}
	return min(c.depth, c.windowFor(c.srv.share.Load()))
}

func (c *conn) windowFor(share int64) int32 {
	return int32(min(max(windowLeast, share/int64(max(c.neg.firstBurst, 4096))), math.MaxInt16))
}

// windowLeast is the smallest command window of a session.
const windowLeast = 8

// numberLocked fills in StatSN, ExpCmdSN and MaxCmdSN (RFC 7143, section 4.2.2). MaxCmdSN never goes back.
func (c *conn) numberLocked(h *wire.Header, status bool) {
	h.SetWord(wire.OffStatSN, c.statSN)
	if status {
		c.statSN++
	}
	exp := c.expCmdSN.Load()
	last := exp + uint32(max(0, c.window()-c.inflight.Load())) - 1
	if wire.SNLess(last, c.maxCmdSN.Load()) {
		last = c.maxCmdSN.Load()
	}
	c.maxCmdSN.Store(last)
	h.SetWord(wire.OffExpCmdSN, exp)
	h.SetWord(wire.OffMaxCmdSN, last)
}
