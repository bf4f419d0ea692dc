package iscsi

import (
	"fmt"

	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// ask solicits data for t, as far as outstanding R2Ts allow.
func (c *conn) ask(t *task) {
	c.out.makeRoom()
	c.mu.Lock()
	if t.aborted != nil {
		c.mu.Unlock()
		c.finish(t)
		return
	}
	t.state = collecting
	c.askLocked(t)
	c.mu.Unlock()
}

func (c *conn) askLocked(t *task) {
	t.asked = max(t.asked, t.got)
	for t.nBursts < c.neg.maxR2T && t.asked < t.takes {
		b := &t.bursts[t.nBursts]
		*b = burst{ttt: c.newTTT(), next: t.asked, end: min(t.takes, t.asked+c.neg.maxBurst)}
		t.nBursts++
		t.asked = b.end
		c.sendR2T(t, b)
	}
}

// newTTT returns a fresh target transfer tag; c.mu is held.
func (c *conn) newTTT() uint32 {
	c.nextTTT++
	if c.nextTTT == wire.NoTag {
		c.nextTTT = 1
	}
	return c.nextTTT
}

// sendR2T queues a ready to transfer (RFC 7143, section 11.8).
func (c *conn) sendR2T(t *task, b *burst) {
	var h wire.Header
	h.SetOpcode(wire.R2T)
	h.SetFlags(wire.Final)
	h.SetITT(t.itt)
	h.SetWord(wire.OffTTT, b.ttt)
	h.SetWord(wire.OffDataSN, t.r2tSN)
	h.SetWord(wire.OffBufferOff, uint32(b.next))
	h.SetWord(wire.OffLength, uint32(b.end-b.next))
	t.r2tSN++
	c.out.mu.Lock()
	c.numberLocked(&h, false)
	c.out.addLocked(&h, nil, nil)
	c.out.mu.Unlock()
}

// onDataOut takes data of a write (RFC 7143, section 11.7). Data of a command that has ended already is dropped. Data
// that is not in order fails its command, since error recovery level 0 can not ask for it again.
func (c *conn) onDataOut(h *wire.Header, held *uint64) error {
	n := h.DataLen()
	t := c.receive(h.ITT())
	if t == nil {
		return c.rd.Data(nil, n)
	}
	off := int(h.Word(wire.OffBufferOff))
	if err := t.checkData(h, off, n, c.neg.firstBurst); err != nil {
		if err := c.rd.Data(nil, n); err != nil {
			c.drop(t)
			return err
		}
		c.srv.opt.Logger.Warn("iscsi data out of order", "initiator", c.id.initiator, "error", err)
		t.op.Status, t.op.Sense = scsi.CheckCondition, scsi.Sense{Code: scsi.DataPhaseError}
		c.finish(t)
		return nil
	}
	from := min(off, len(t.out))
	if err := c.rd.Data(t.out[from:min(off+n, len(t.out))], n); err != nil {
		c.drop(t)
		return err
	}
	return c.received(t, h, off+n, held)
}

// receive finds the task that waits for data and marks it as busy with the reader.
func (c *conn) receive(itt uint32) *task {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tasks[itt]
	if t == nil || t.state != collecting {
		return nil
	}
	t.state = receiving
	return t
}

// checkData holds a Data-Out PDU against what is due: DataSN, offset and amount (RFC 7143, sections 11.7.5 and 11.7.6;
// DataPDUInOrder and DataSequenceInOrder are Yes).
func (t *task) checkData(h *wire.Header, off, n, firstBurst int) error {
	sn := h.Word(wire.OffDataSN)
	if h.Word(wire.OffTTT) == wire.NoTag {
		limit := min(firstBurst, t.edtl)
		if !t.unsolicited || off != t.got || sn != t.dataSN || n > limit-off {
			return fmt.Errorf("%w: unsolicited data %d+%d with DataSN %d, want offset %d, DataSN %d, limit %d",
				errProtocol, off, n, sn, t.got, t.dataSN, limit)
		}
		t.dataSN++
		return nil
	}
	b := &t.bursts[0]
	if t.nBursts == 0 || h.Word(wire.OffTTT) != b.ttt || off != b.next || sn != b.dataSN || n > b.end-off ||
		(h.Final() && off+n != b.end) {
		return fmt.Errorf("%w: solicited data %d+%d with DataSN %d, want %d to %d, DataSN %d", errProtocol, off, n, sn,
			b.next, b.end, b.dataSN)
	}
	b.dataSN++
	b.next += n
	return nil
}

// received goes on after data up to end was stored.
func (c *conn) received(t *task, h *wire.Header, end int, held *uint64) error {
	t.got = end
	if h.Word(wire.OffTTT) == wire.NoTag {
		t.unsolicited = !h.Final()
		return c.collect(t, held)
	}
	if b := t.bursts[0]; b.next == b.end && h.Final() {
		t.nBursts--
		copy(t.bursts[:], t.bursts[1:1+t.nBursts])
	} else if b.next == b.end {
		t.op.Status, t.op.Sense = scsi.CheckCondition, scsi.Sense{Code: scsi.DataPhaseError}
		c.finish(t)
		return nil
	}
	if t.got >= t.takes {
		return c.collect(t, held)
	}
	c.ask(t)
	return nil
}
