package initiator

import (
	"fmt"
	"sync"

	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// call is one exchange that waits for its answer.
type call struct {
	itt     uint32
	in      []byte // place for data-in
	out     []byte // data-out
	got     int    // bytes of data-in received
	answer  wire.Header
	data    []byte // data segment of the answer
	outcome error
	done    chan struct{} // one token when the call has ended
}

var callPool = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

func (s *Session) newCall() *call {
	c := callPool.Get().(*call)
	c.in, c.out, c.got, c.outcome, c.data = nil, nil, 0, nil, c.data[:0]
	return c
}

// end gives the call its outcome. It is called once, by whoever took the call out of the session's table.
func (c *call) end(err error) {
	c.outcome = err
	c.done <- struct{}{}
}

// begin gives c a tag and fills in the serial numbers of h. It reports false when the window is closed for a command
// that is not immediate. The write lock is held, so that commands are on the wire in the order of their numbers.
func (s *Session) begin(c *call, h *wire.Header) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if !h.Immediate() && s.shutLocked() {
		return false, nil
	}
	s.nextITT++
	if s.nextITT == wire.NoTag {
		s.nextITT = 1
	}
	c.itt = s.nextITT
	s.calls[c.itt] = c
	h.SetITT(c.itt)
	h.SetWord(wire.OffCmdSN, s.cmdSN)
	h.SetWord(wire.OffExpStatSN, s.expStatSN)
	if !h.Immediate() {
		s.cmdSN++
	}
	return true, nil
}

func (s *Session) shutLocked() bool { return wire.SNLess(s.maxCmdSN, s.cmdSN) }

// awaitWindow returns when the window may be open or the session has ended. The write lock is not held: answers to
// R2Ts are what opens the window.
func (s *Session) awaitWindow() {
	s.mu.Lock()
	for s.err == nil && s.shutLocked() {
		s.room.Wait()
	}
	s.mu.Unlock()
}

// take removes a call from the table, to end it.
func (s *Session) take(itt uint32) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[itt]
	delete(s.calls, itt)
	return c
}

func (s *Session) find(itt uint32) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[itt]
}

// exchange sends h with data and waits for the answer, which is in c then.
func (s *Session) exchange(c *call, h *wire.Header, data []byte) error {
	if err := s.submit(c, h, data); err != nil {
		return err
	}
	<-c.done
	return c.outcome
}

// submit sends h with data, and what more of c's data-out may go unsolicited.
func (s *Session) submit(c *call, h *wire.Header, data []byte) error {
	s.write.Lock()
	for {
		ok, err := s.begin(c, h)
		if err != nil {
			s.write.Unlock()
			return err
		}
		if ok {
			break
		}
		s.write.Unlock()
		s.awaitWindow()
		s.write.Lock()
	}
	s.put(h, data)
	if end := min(len(c.out), s.neg.firstBurst); !s.neg.initialR2T && len(data) < end {
		s.putData(c, wire.NoTag, len(data), end)
	}
	err := s.writeOut()
	s.write.Unlock()
	if err != nil {
		s.fail(err) // ends c too
	}
	return nil
}

// send writes one PDU that no answer is waited for.
func (s *Session) send(h *wire.Header, data []byte) error {
	s.mu.Lock()
	h.SetWord(wire.OffCmdSN, s.cmdSN)
	h.SetWord(wire.OffExpStatSN, s.expStatSN)
	s.mu.Unlock()
	s.write.Lock()
	defer s.write.Unlock()
	s.put(h, data)
	return s.writeOut()
}

// put appends a PDU to what writeOut will write. The write lock is held.
func (s *Session) put(h *wire.Header, data []byte) {
	w := &s.write
	h.SetDataLen(len(data))
	start := len(w.head)
	w.head = wire.AppendHeader(w.head, h, s.neg.headerDigest)
	w.vecs = append(w.vecs, w.head[start:])
	if len(data) > 0 {
		w.vecs = append(w.vecs, data)
		start = len(w.head)
		w.head = wire.AppendTail(w.head, data, s.neg.dataDigest)
		if len(w.head) > start {
			w.vecs = append(w.vecs, w.head[start:])
		}
	}
}

// writeOut writes what put has collected.
func (s *Session) writeOut() error {
	w := &s.write
	w.rest = w.vecs
	_, err := w.rest.WriteTo(s.nc)
	clear(w.vecs)
	w.vecs, w.head = w.vecs[:0], w.head[:0]
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// onAnswer ends the call that h answers.
func (s *Session) onAnswer(h *wire.Header) error {
	n := h.DataLen()
	c := s.take(h.ITT())
	if c == nil {
		return s.rd.Data(nil, n)
	}
	if cap(c.data) < n {
		c.data = make([]byte, n)
	}
	c.data, c.answer = c.data[:n], *h
	if err := s.rd.Data(c.data, n); err != nil {
		c.end(err)
		return err
	}
	c.end(nil)
	return nil
}

// onDataIn stores data of a read; the last PDU may carry the status (RFC 7143, section 11.7.3).
func (s *Session) onDataIn(h *wire.Header) error {
	n, off := h.DataLen(), int(h.Word(wire.OffBufferOff))
	c := s.find(h.ITT())
	if c == nil {
		return s.rd.Data(nil, n)
	}
	if off != c.got || n > len(c.in)-off {
		return fmt.Errorf("%w: data-in %d+%d, want offset %d of %d", ErrProtocol, off, n, c.got, len(c.in))
	}
	if err := s.rd.Data(c.in[off:off+n], n); err != nil {
		return err
	}
	c.got += n
	if h.Flags()&wire.DataStatus != 0 {
		if c := s.take(h.ITT()); c != nil {
			c.answer = *h
			c.end(nil)
		}
	}
	return nil
}

// onR2T sends the data that the target asks for (RFC 7143, section 11.8).
func (s *Session) onR2T(h *wire.Header) error {
	off, n := int(h.Word(wire.OffBufferOff)), int(h.Word(wire.OffLength))
	c := s.find(h.ITT())
	if c == nil {
		return nil // aborted
	}
	if n <= 0 || off < 0 || n > len(c.out)-off {
		return fmt.Errorf("%w: R2T for %d+%d of %d bytes", ErrProtocol, off, n, len(c.out))
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.putData(c, h.Word(wire.OffTTT), off, off+n)
	return s.writeOut()
}

// putData appends a sequence of Data-Out PDUs for c.out[from:to].
func (s *Session) putData(c *call, ttt uint32, from, to int) {
	s.mu.Lock()
	exp := s.expStatSN
	s.mu.Unlock()
	for sn := uint32(0); from < to; sn++ {
		n := min(to-from, s.neg.maxSend)
		var h wire.Header
		h.SetOpcode(wire.DataOut)
		if from+n == to {
			h.SetFlags(wire.Final)
		}
		h.SetITT(c.itt)
		h.SetWord(wire.OffTTT, ttt)
		h.SetWord(wire.OffExpStatSN, exp)
		h.SetWord(wire.OffDataSN, sn)
		h.SetWord(wire.OffBufferOff, uint32(from))
		s.put(&h, c.out[from:from+n])
		from += n
	}
}

// Result is what a command brought.
type Result struct {
	Status   scsi.Status
	Sense    []byte // sense data; empty unless Status is CheckCondition
	In       int    // bytes of data-in
	Residual int    // bytes that were expected and not moved; negative: the command would have moved more
}

// Err is nil for GOOD and CONDITION MET, else a *StatusError.
func (r Result) Err() error {
	if r.Status == scsi.Good || r.Status == scsi.ConditionMet {
		return nil
	}
	return &StatusError{r.Status, r.Sense}
}

// Command sends a CDB of at most 16 bytes to the session's LUN, with out as data-out or in as the place for data-in; one of them
// is empty. Both are the session's until Command returns. The error is one of the session: a status that is not GOOD
// is in the result.
func (s *Session) Command(cdb, out, in []byte) (Result, error) {
	return s.CommandTo(s.lun(), cdb, out, in)
}

// lun is the LUN field: peripheral device addressing (SAM-5, section 4.7.7.2).
func (s *Session) lun() uint64 { return uint64(s.opt.LUN) << 48 }

// CommandTo is Command for any LUN field.
func (s *Session) CommandTo(lun uint64, cdb, out, in []byte) (Result, error) {
	c := s.newCall()
	defer callPool.Put(c)
	if err := s.command(c, lun, cdb, out, in); err != nil {
		return Result{}, err
	}
	return c.result(), nil
}

func (s *Session) command(c *call, lun uint64, cdb, out, in []byte) error {
	var h wire.Header
	h.SetOpcode(wire.SCSICommand)
	h.SetLUN(lun)
	copy(h[wire.OffCDB:], cdb)
	c.in, c.out = in, out
	flags, immediate := byte(0x01), 0 // simple task
	switch {
	case len(out) > 0:
		flags |= wire.CommandWrite
		h.SetWord(wire.OffEDTL, uint32(len(out)))
		if s.neg.immediateData {
			immediate = min(len(out), s.neg.firstBurst, s.neg.maxSend)
		}
	case len(in) > 0:
		flags |= wire.CommandRead
		h.SetWord(wire.OffEDTL, uint32(len(in)))
	}
	if len(out) == 0 || s.neg.initialR2T || immediate == min(len(out), s.neg.firstBurst) {
		flags |= wire.Final // no unsolicited data follows
	}
	h.SetFlags(flags)
	return s.exchange(c, &h, out[:immediate])
}

func (c *call) result() Result {
	r := Result{Status: scsi.Status(c.answer[3]), In: c.got}
	switch {
	case c.answer.Flags()&wire.ResidualUnd != 0:
		r.Residual = int(c.answer.Word(wire.OffLength))
	case c.answer.Flags()&wire.ResidualOver != 0:
		r.Residual = -int(c.answer.Word(wire.OffLength))
	}
	if len(c.data) >= 2 && c.answer.Opcode() == wire.SCSIResponse {
		n := int(c.data[0])<<8 | int(c.data[1])
		r.Sense = append([]byte(nil), c.data[2:min(2+n, len(c.data))]...)
	}
	return r
}
