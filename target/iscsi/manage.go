package iscsi

import (
	"errors"

	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// errLoggedOut is the orderly end of a session.
var errLoggedOut = errors.New("logged out")

// Task management functions (RFC 7143, section 11.5.1).
const (
	abortTask       = 1
	abortTaskSet    = 2
	clearTaskSet    = 4
	lunReset        = 5
	targetWarmReset = 6
	targetColdReset = 7
	taskReassign    = 8
)

// Answers to them (section 11.6.1).
const (
	funcComplete       = 0
	funcNoTask         = 1
	funcNoLUN          = 2
	funcNoReassign     = 4
	funcNotSupported   = 5
	logoutDone         = 0
	logoutNoConnection = 1
	logoutNoRecovery   = 2
)

// onTaskRequest carries out a task management function. The answer is sent when every command that it ends has ended:
// after it none of them changes anything any more (RFC 7143, section 11.5; SAM-5, section 7).
func (c *conn) onTaskRequest(h *wire.Header) error {
	verdict, err := c.accept(h)
	if err != nil {
		return c.violation(h, err.Error())
	}
	if verdict == ignore {
		return nil
	}
	if c.nexus == nil {
		return c.violation(h, "task management in a discovery session")
	}
	function, itt := h.Flags()&0x7f, h.ITT()
	if function != abortTask && function < targetWarmReset && h.LUN() != 0 && h.LUN() != 0x4000<<48 {
		c.answerTaskRequest(itt, funcNoLUN)
		return nil
	}
	switch function {
	case abortTask:
		c.abortOne(itt, h.Word(wire.OffRefTask))
	case abortTaskSet:
		a := c.newTaskAbort(itt, nil, nil)
		c.abortTasks(a, everyTask)
		a.end()
	case clearTaskSet:
		c.abortUnit(c.newTaskAbort(itt, nil, nil), true)
	case lunReset, targetWarmReset:
		c.abortUnit(c.newTaskAbort(itt, c.nexus.Unit().Reset, nil), false)
	case targetColdReset:
		unit := c.nexus.Unit()
		c.abortUnit(c.newTaskAbort(itt, unit.Reset, func() { c.srv.dropSessions(unit) }), false)
	case taskReassign:
		c.answerTaskRequest(itt, funcNoReassign)
	default:
		c.answerTaskRequest(itt, funcNotSupported)
	}
	return nil
}

func everyTask(*task) bool { return true }

// newTaskAbort returns the abort of the function with tag itt; before and after run around its answer.
func (c *conn) newTaskAbort(itt uint32, before, after func()) *abort {
	c.wg.Add(1)
	return newAbort(func() {
		defer c.wg.Done()
		if before != nil {
			before()
		}
		c.answerTaskRequest(itt, funcComplete)
		c.out.flush()
		if after != nil {
			after()
		}
	})
}

func (c *conn) answerTaskRequest(itt uint32, response byte) {
	var r wire.Header
	r.SetOpcode(wire.TaskResponse)
	r.SetFlags(wire.Final)
	r[2] = response
	r.SetITT(itt)
	c.reply(&r, nil)
}

// abortOne ends the command with tag ref. One that is answered already is not there any more.
func (c *conn) abortOne(itt, ref uint32) {
	a := c.newTaskAbort(itt, nil, nil)
	if c.abortTasks(a, func(t *task) bool { return t.itt == ref }) > 0 {
		a.end()
		return
	}
	c.wg.Done() // a is given up
	c.answerTaskRequest(itt, funcNoTask)
}

// abortTasks ends the commands of this connection that match: those that wait for data or budget at once, those that
// are with the device when it returns. a counts them; so does the result.
func (c *conn) abortTasks(a *abort, match func(*task) bool) int {
	var over []*task
	n := 0
	c.mu.Lock()
	for _, t := range c.tasks {
		if !match(t) {
			continue
		}
		n++
		a.add()
		t.op.Abort()
		first := t.aborted == nil
		t.aborted = append(t.aborted, a)
		if first && (t.state == collecting || (t.state == queued && c.budget.forget(t))) {
			t.state = running // it is ours: nobody else finds it in a state to go on with
			over = append(over, t)
		}
	}
	c.mu.Unlock()
	for _, t := range over {
		c.finish(t)
	}
	return n
}

// abortUnit ends the commands of all sessions to this unit. With cleared, other sessions that had any learn of it by a
// unit attention (CLEAR TASK SET with TAS off; SPC-4, section 7.5.8).
func (c *conn) abortUnit(a *abort, cleared bool) {
	unit := c.nexus.Unit()
	for _, o := range c.srv.sessionsOf(unit) {
		if n := o.abortTasks(a, everyTask); cleared && n > 0 {
			unit.ClearedByOther(c.nexus, o.nexus)
		}
	}
	a.end()
}

// onLogout ends the session: commands are dropped, those with the device are waited for (RFC 7143, section 11.14).
func (c *conn) onLogout(h *wire.Header) error {
	verdict, err := c.accept(h)
	if err != nil {
		return c.violation(h, err.Error())
	}
	if verdict == ignore {
		return nil
	}
	var r wire.Header
	r.SetOpcode(wire.LogoutResp)
	r.SetFlags(wire.Final)
	r.SetITT(h.ITT())
	reason, cid := h.Flags()&0x7f, uint16(h.Word(wire.OffLoginCID)>>16)
	switch {
	case reason > 1:
		r[2] = logoutNoRecovery
	case reason == 1 && cid != c.id.cid:
		r[2] = logoutNoConnection
	}
	if r[2] != logoutDone {
		c.reply(&r, nil)
		return nil
	}
	ended := make(chan struct{})
	a := newAbort(func() { close(ended) })
	c.abortTasks(a, everyTask)
	a.end()
	c.out.flush()
	<-ended
	c.logout.Store(true)
	c.reply(&r, nil)
	c.out.drain()
	return errLoggedOut
}

// onNopOut answers a ping; a NOP-Out without a task tag is the answer to ours (RFC 7143, section 11.18).
func (c *conn) onNopOut(h *wire.Header, n int) error {
	buf := getBuffer(n)
	if err := c.rd.Data(buf.b, n); err != nil {
		buf.release()
		return err
	}
	verdict, err := c.accept(h)
	if err != nil {
		buf.release()
		return c.violation(h, err.Error())
	}
	if verdict == ignore || h.ITT() == wire.NoTag {
		buf.release()
		return nil
	}
	var r wire.Header
	r.SetOpcode(wire.NopIn)
	r.SetFlags(wire.Final)
	r.SetLUN(h.LUN())
	r.SetITT(h.ITT())
	r.SetWord(wire.OffTTT, wire.NoTag)
	c.out.makeRoom()
	c.out.mu.Lock()
	c.numberLocked(&r, true)
	c.out.addLocked(&r, buf.b[:min(n, c.neg.maxSend)], buf)
	c.out.mu.Unlock()
	return nil
}

// ping asks for a sign of life.
func (c *conn) ping() {
	var h wire.Header
	h.SetOpcode(wire.NopIn)
	h.SetFlags(wire.Final)
	h.SetITT(wire.NoTag)
	c.mu.Lock()
	h.SetWord(wire.OffTTT, c.newTTT())
	c.mu.Unlock()
	c.out.mu.Lock()
	c.numberLocked(&h, false)
	c.out.addLocked(&h, nil, nil)
	c.out.mu.Unlock()
	c.out.flush()
}

// Asynchronous events (RFC 7143, section 11.9.1).
const asyncLogout = 1

// requestLogout asks the initiator to log out within seconds.
func (c *conn) requestLogout(seconds int) {
	var h wire.Header
	h.SetOpcode(wire.AsyncMessage)
	h.SetFlags(wire.Final)
	h.SetITT(wire.NoTag)
	h[36] = asyncLogout
	h[42], h[43] = byte(seconds>>8), byte(seconds) // Parameter3
	c.out.mu.Lock()
	c.numberLocked(&h, true)
	c.out.addLocked(&h, nil, nil)
	c.out.mu.Unlock()
	c.out.flush()
}

// abortNexuses ends the commands of the sessions of nexuses.
func (s *Server) abortNexuses(a *abort, nexuses []*scsi.Nexus) {
	for _, n := range nexuses {
		for _, c := range s.sessionsOf(n.Unit()) {
			if c.nexus == n {
				c.abortTasks(a, everyTask)
			}
		}
	}
}
