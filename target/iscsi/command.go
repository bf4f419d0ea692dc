package iscsi

import (
	"fmt"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// immediateMax bounds immediate commands, which the window does not count.
const immediateMax = 64

// onCommand takes a SCSI command (RFC 7143, section 11.3) and its immediate data.
func (c *conn) onCommand(h *wire.Header, ahs []byte, held *uint64) error {
	n := h.DataLen()
	verdict, err := c.accept(h)
	if err != nil {
		return c.violation(h, err.Error())
	}
	if verdict == ignore {
		return c.rd.Data(nil, n)
	}
	if c.nexus == nil {
		return c.violation(h, "SCSI command in a discovery session")
	}
	t, reason := c.begin(h)
	if t == nil {
		if err := c.rd.Data(nil, n); err != nil {
			return err
		}
		c.reject(h, reason)
		return nil
	}
	if len(ahs) > 0 {
		if _, err := wire.ParseAHS(ahs); err != nil {
			c.drop(t)
			return c.violation(h, err.Error())
		}
	}
	if what := c.badImmediate(t, h); what != "" {
		c.drop(t)
		return c.violation(h, what)
	}
	return c.start(t, h, held)
}

// begin makes a task for h, unless its tag is in use or there are too many immediate commands.
func (c *conn) begin(h *wire.Header) (*task, byte) {
	if h.Immediate() {
		if c.immediate.Add(1) > immediateMax {
			c.immediate.Add(-1)
			return nil, rejectTooMany
		}
	} else {
		c.inflight.Add(1)
	}
	t := newTask(c, h)
	c.mu.Lock()
	_, used := c.tasks[t.itt]
	if !used && t.itt != wire.NoTag {
		c.tasks[t.itt] = t
		t.state = receiving
	}
	c.mu.Unlock()
	if used || t.itt == wire.NoTag {
		c.settleWindow(t)
		t.free()
		return nil, rejectInProgress
	}
	return t, 0
}

// badImmediate says what is wrong with the data of a command; empty if nothing (RFC 7143, section 11.3).
func (c *conn) badImmediate(t *task, h *wire.Header) string {
	n, more := h.DataLen(), !h.Final()
	switch {
	case n > 0 && !t.isWrite:
		return "immediate data of a command that writes nothing"
	case n > 0 && !c.neg.immediateData:
		return "immediate data was not negotiated"
	case n > min(c.neg.firstBurst, t.edtl) && n > 0:
		return fmt.Sprintf("%d bytes of immediate data, %d allowed", n, min(c.neg.firstBurst, t.edtl))
	case more && (c.neg.initialR2T || !t.isWrite):
		return "unsolicited data was not negotiated"
	}
	return ""
}

// start begins a command whose header is in order.
func (c *conn) start(t *task, h *wire.Header, held *uint64) error {
	n := h.DataLen()
	ready := c.nexus.Begin(&t.op, h.LUN(), h[wire.OffCDB:])
	if ready && !c.fits(t) {
		ready = false
	}
	if !ready {
		if err := c.rd.Data(nil, n); err != nil {
			c.drop(t)
			return err
		}
		c.finish(t)
		return nil
	}
	t.unsolicited = !h.Final()
	if t.takes == 0 && !t.unsolicited {
		if err := c.rd.Data(nil, n); err != nil {
			c.drop(t)
			return err
		}
		c.setState(t, running)
		return c.submit(t, held)
	}
	c.reserveWrite(t, n)
	if err := c.rd.Data(t.out, n); err != nil {
		c.drop(t)
		return err
	}
	t.got = n
	return c.collect(t, held)
}

// fits compares what the command takes with what the initiator has. More is ignored and less is written as far as it
// goes, with the residual in the answer; commands that can not do with that fail before anything is written.
func (c *conn) fits(t *task) bool {
	have, want := t.expects(), t.op.OutLen
	if (have < want && !t.op.OutLess) || (have > want && t.op.OutExact) {
		t.op.Mismatch()
		return false
	}
	t.takes = min(have, want)
	return true
}

// reserveWrite gets t a buffer for the data that comes unsolicited, which has to be taken in any case; the command
// window has made room for it. The rest is solicited when the budget has room.
func (c *conn) reserveWrite(t *task, immediate int) {
	unsolicited := immediate
	if t.unsolicited {
		unsolicited = c.neg.firstBurst
	}
	t.buf = getBuffer(min(t.takes, unsolicited))
	t.out = t.buf.b
}

// collect goes on with a command after some of its data has come.
func (c *conn) collect(t *task, held *uint64) error {
	c.mu.Lock()
	complete := t.got >= t.takes
	switch {
	case t.aborted != nil:
		c.mu.Unlock()
		c.finish(t)
		return nil
	case t.unsolicited:
		t.state = collecting
		c.mu.Unlock()
		return nil
	case complete:
		t.state = running
	default:
		t.state = queued
	}
	c.mu.Unlock()
	if complete {
		return c.submit(t, held)
	}
	if len(t.out) < t.takes {
		t.wants = int64(t.takes - len(t.out))
		if !c.budget.acquire(t) {
			return nil // goes on when earlier commands have ended
		}
		c.enlarge(t)
	}
	c.ask(t)
	return nil
}

// enlarge gives t a buffer for all of its data, once its share of the budget is there.
func (c *conn) enlarge(t *task) {
	b := getBuffer(t.takes)
	copy(b.b, t.out[:min(t.got, len(t.out))])
	t.buf.release()
	t.buf, t.out = b, b.b
}

func (c *conn) setState(t *task, s taskState) {
	c.mu.Lock()
	t.state = s
	c.mu.Unlock()
}

// drop ends t without an answer, because the connection ends.
func (c *conn) drop(t *task) {
	a := newAbort(func() {})
	a.add()
	c.mu.Lock()
	t.aborted = append(t.aborted, a)
	c.mu.Unlock()
	c.finish(t)
}
