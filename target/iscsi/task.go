package iscsi

import (
	"sync"

	"github.com/weirstor/weir/target/iscsi/scsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// taskState is how far a SCSI command has come.
type taskState uint8

const (
	collecting taskState = iota // waits for data-out
	receiving                   // the reader is storing data-out
	queued                      // waits for its share of the budget
	running                     // with the device
)

// task is one SCSI command of a session, from its PDU to its answer.
//
// Invariant: what is under "guarded" belongs to conn.mu; the rest to the goroutine that the task is with: the reader
// while it collects, then whoever runs it.
type task struct {
	c   *conn
	op  scsi.Op
	itt uint32

	isRead, isWrite bool
	immediate       bool
	edtl            int // expected data transfer length, in bytes

	buf *buffer // data-out or data-in
	out []byte  // data-out, takes bytes once all has come

	// Data-out. Offsets count from the start of the command's data.
	takes       int    // bytes that the command takes
	got         int    // received
	dataSN      uint32 // next of the unsolicited data
	unsolicited bool   // more unsolicited data will come
	asked       int    // solicited up to here
	r2tSN       uint32
	bursts      [ourMaxR2T]burst // outstanding, oldest first
	nBursts     int

	sense [2 + scsi.SenseMax]byte // length and sense data of the answer

	dataIn uint32 // data-in PDUs sent
	held   int64  // bytes of the budget that the task has
	wants  int64  // and that it waits for

	// guarded
	state   taskState
	aborted []*abort // not empty: no answer
}

// burst is the data that one R2T asks for.
type burst struct {
	ttt       uint32
	next, end int
	dataSN    uint32
}

var taskPool = sync.Pool{New: func() any { return new(task) }}

func newTask(c *conn, h *wire.Header) *task {
	t := taskPool.Get().(*task)
	t.c, t.itt = c, h.ITT()
	t.isRead, t.isWrite = h.Flags()&wire.CommandRead != 0, h.Flags()&wire.CommandWrite != 0
	t.immediate = h.Immediate()
	t.edtl = int(h.Word(wire.OffEDTL))
	return t
}

// free returns t to the pool. Nobody may know it any more.
func (t *task) free() {
	t.buf.release()
	t.c, t.buf, t.out = nil, nil, nil
	t.takes, t.got, t.dataSN, t.unsolicited, t.asked, t.r2tSN, t.nBursts = 0, 0, 0, false, 0, 0, 0
	t.dataIn, t.held, t.wants, t.state, t.aborted = 0, 0, 0, collecting, nil
	t.op.In, t.op.Preempted = nil, nil
	taskPool.Put(t)
}

// expects returns how much data-out the initiator has for the command.
func (t *task) expects() int {
	if t.isWrite {
		return t.edtl
	}
	return 0
}

// room returns how much data-in the initiator takes.
func (t *task) room() int {
	if t.isRead && !t.isWrite {
		return t.edtl
	}
	return 0
}

// abort is a request that ends commands: a task management function, a logout. done runs when the last command that
// was running has ended; its answer is due then.
type abort struct {
	mu      sync.Mutex
	pending int
	done    func()
}

func newAbort(done func()) *abort { return &abort{pending: 1, done: done} }

func (a *abort) add() {
	a.mu.Lock()
	a.pending++
	a.mu.Unlock()
}

// end counts one ended command, and at last the request itself.
func (a *abort) end() {
	a.mu.Lock()
	a.pending--
	last := a.pending == 0
	a.mu.Unlock()
	if last {
		a.done()
	}
}
