package iscsi

import (
	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// finish ends t: its answer is queued, unless it was aborted, and what it held is given back. It is called once for
// each task, by whoever has it.
func (c *conn) finish(t *task) {
	if len(t.op.Preempted) > 0 {
		c.finishAfterAbort(t)
		return
	}
	c.out.makeRoom()
	c.count(t)
	c.mu.Lock()
	delete(c.tasks, t.itt)
	c.settleWindow(t)
	aborts := t.aborted
	if aborts == nil {
		c.answerLocked(t)
	}
	c.mu.Unlock()
	held := t.held
	t.free()
	for _, a := range aborts {
		a.end()
	}
	for g := c.budget.release(held); g != nil; g = c.budget.release(0) {
		c.granted(g)
	}
}

// finishAfterAbort ends a PREEMPT AND ABORT once the commands of the nexuses that it preempted have ended.
func (c *conn) finishAfterAbort(t *task) {
	nexuses := t.op.Preempted
	t.op.Preempted = nil
	c.wg.Add(1)
	a := newAbort(func() {
		c.finish(t)
		c.out.flush()
		c.wg.Done()
	})
	c.srv.abortNexuses(a, nexuses)
	a.end()
}

// settleWindow gives the place of t in the command window back.
func (c *conn) settleWindow(t *task) {
	if t.immediate {
		c.immediate.Add(-1)
	} else {
		c.inflight.Add(-1)
	}
}

// answerLocked queues data-in and status of t. Both c.mu and, inside, out.mu are held while it does, so that nobody
// finds the command gone before its answer is on the way.
func (c *conn) answerLocked(t *task) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if t.op.Status == scsi.Good && len(t.op.In) > 0 && t.room() > 0 {
		c.sendDataInLocked(t)
		return
	}
	c.sendStatusLocked(t)
}

// residual returns the flag and the count for the difference between what the initiator expects and what the command
// moves (RFC 7143, section 11.4.5).
func (t *task) residual() (flag byte, count int) {
	moves, expects := max(t.op.InLen, len(t.op.In)), t.room()
	if t.isWrite || t.op.OutLen > 0 {
		moves, expects = t.op.OutLen, t.expects()
	} else if t.op.Failed() {
		moves = 0
	}
	switch {
	case moves > expects:
		return wire.ResidualOver, moves - expects
	case moves < expects:
		return wire.ResidualUnd, expects - moves
	}
	return 0, 0
}

// sendDataInLocked queues the data in PDUs and sequences as long as negotiated, and the status in the last one (RFC
// 7143, section 11.7.3).
func (c *conn) sendDataInLocked(t *task) {
	data := t.op.In[:min(len(t.op.In), t.room())]
	maxPDU, sequence := c.neg.maxSend, 0
	for off := 0; off < len(data); {
		n := min(len(data)-off, maxPDU, c.neg.maxBurst-sequence)
		var h wire.Header
		h.SetOpcode(wire.DataIn)
		h.SetITT(t.itt)
		h.SetWord(wire.OffTTT, wire.NoTag)
		h.SetWord(wire.OffDataSN, t.dataIn)
		h.SetWord(wire.OffBufferOff, uint32(off))
		t.dataIn++
		sequence += n
		last := off+n == len(data)
		if sequence == c.neg.maxBurst {
			h.SetFlags(wire.Final)
			sequence = 0
		}
		c.numberLocked(&h, last)
		var buf *buffer
		if last {
			flag, count := t.residual()
			h.SetFlags(wire.Final | wire.DataStatus | flag)
			h.SetWord(wire.OffLength, uint32(count))
			buf, t.buf = t.buf, nil
		} else {
			h.SetWord(wire.OffStatSN, 0)
		}
		c.out.addLocked(&h, data[off:off+n], buf)
		off += n
	}
}

// sendStatusLocked queues a SCSI response, with sense data if there is any (RFC 7143, section 11.4).
func (c *conn) sendStatusLocked(t *task) {
	var h wire.Header
	flag, count := t.residual()
	h.SetOpcode(wire.SCSIResponse)
	h.SetFlags(wire.Final | flag)
	h[3] = byte(t.op.Status)
	h.SetITT(t.itt)
	h.SetWord(wire.OffLength, uint32(count))
	h.SetWord(wire.OffDataSN, t.dataIn+t.r2tSN) // ExpDataSN
	c.numberLocked(&h, true)
	data := t.sense[:0]
	if t.op.Status == scsi.CheckCondition {
		data = t.op.Sense.Append(t.sense[:2], t.op.Descriptor())
		t.sense[1] = byte(len(data) - 2) // SenseLength
	}
	c.out.addLocked(&h, data, nil)
}
