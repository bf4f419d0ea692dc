package nbd

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/target"
)

const (
	windowBytes  = 1<<20 + 64<<10 // receive window: a write of 1 MiB, its header, and requests beside it
	receiveBytes = 256 << 10      // received at once, so that what is served next is still in the processor's cache
	largeWrite   = 64 << 10       // payload from which on writes are received one by one
	parkedBytes  = 4 << 10        // receive window of an idle connection
	outBytes     = 256 << 10      // replies of one pass, with the data of small reads
	laneBytes    = windowBytes + outBytes
	passMost     = 512 // requests of one kind that are served in one pass
)

// lane is what a leader works with. It is used by one goroutine, but for rest, which the monitor can claim.
type lane struct {
	*arena          // what in and out are slices of; nil while the connection is idle
	in       []byte // receive window
	pos, end int    // in[pos:end] has arrived and is not parsed
	out      []byte // replies that are not sent

	plain writes       // without FUA
	sync  writes       // with FUA
	rest  []request    // all other commands
	next  atomic.Int64 // index in rest of the first that nobody has begun
	tally tally

	grant grant // memory that the lane's end gives back; guarded by conn.role

	entered int64  // when the device call in progress began
	done    []byte // out as it was then: whole replies, which whoever takes the lead over sends
	lost    bool   // the lead has passed to somebody else

	skip    uint64  // bytes of payload of refused still to be dropped
	refused request // answered when its payload is gone

	missing int   // bytes of payload that the write at pos lacks; 0: none, or its header is not complete
	large   bool  // the last write was a large one
	big     bool  // head of a write that does not fit into the window is at pos
	over    bool  // the client will send no more requests
	bad     error // what it did that can not be answered

	waiting, quiet int64 // since when the client has owed the rest of a request, or any; 0: not
}

// writes are WRITE requests whose payload is in the window.
type writes struct {
	ops  []target.WriteOp
	reqs []request
}

func (w *writes) add(r request, payload []byte) {
	w.ops = append(w.ops, target.WriteOp{Data: payload, Off: int64(r.off), FUA: r.fua()})
	w.reqs = append(w.reqs, r)
}

func (w *writes) reset() {
	clear(w.ops) // the window must not be kept alive by them
	w.ops, w.reqs = w.ops[:0], w.reqs[:0]
}

// arena is what a lane needs while its connection is not idle.
type arena struct {
	window  [windowBytes]byte
	replies [outBytes + headroom]byte
}

var arenas = sync.Pool{New: func() any { return new(arena) }}

func newLane() *lane {
	l := &lane{}
	l.unpark()
	return l
}

// park gives the memory of an idle lane back.
func (l *lane) park() {
	if l.arena == nil || l.pos < l.end || l.pending() || len(l.out) > 0 {
		return
	}
	arenas.Put(l.arena)
	l.arena, l.in, l.out, l.done = nil, make([]byte, parkedBytes), nil, nil
	l.pos, l.end = 0, 0
}

// unpark takes memory, and moves what has arrived there.
func (l *lane) unpark() {
	if l.arena != nil {
		return
	}
	l.arena = arenas.Get().(*arena)
	l.end = copy(l.window[:], l.in[l.pos:l.end])
	l.pos = 0
	l.in, l.out = l.window[:], l.replies[:0]
}

// pending reports whether there is anything to execute.
func (l *lane) pending() bool {
	return len(l.plain.ops)+len(l.sync.ops)+len(l.rest) > 0
}

// appetite is how many bytes to receive at once. Of a large write exactly what is missing is taken: then the window is
// empty when it is stored, the next one begins at its start, and nothing needs to be moved.
func (l *lane) appetite() int {
	switch {
	case l.missing >= largeWrite/4:
		return l.missing
	case l.large:
		return largeWrite
	}
	return receiveBytes
}

// makeRoom moves what is not parsed to the start of the window when the room behind it is needed.
func (l *lane) makeRoom() {
	if l.pos == l.end {
		l.pos, l.end = 0, 0
	} else if l.pos > 0 && len(l.in)-l.end < windowBytes/8 {
		l.end = copy(l.in, l.in[l.pos:l.end])
		l.pos = 0
	}
}

// parse takes the requests off the window that are complete, until a pass is full.
func (c *conn) parse(l *lane) {
	head := c.style.requestSize()
	for !l.over && !l.big && len(l.plain.ops) < passMost && len(l.sync.ops) < passMost && len(l.rest) < passMost {
		if l.skip > 0 && !l.drop() {
			return
		}
		if l.end-l.pos < head {
			return
		}
		r, err := decodeRequest(l.in[l.pos:], c.style == extended)
		if err != nil {
			l.over, l.bad = true, fmt.Errorf("%w: %w", errProtocol, err)
			return
		}
		if !c.take(l, r, head) {
			return
		}
	}
}

// take puts r, whose header is at pos, where it belongs. It returns false if more has to arrive first.
func (c *conn) take(l *lane, r request, head int) bool {
	if r.cmd == cmdDisc {
		l.over = true
		return false
	}
	r.refused = c.check(&r)
	if c.closing.Load() && r.refused == nil {
		r.refused = refuse(eSHUTDOWN, "the server is being shut down")
	}
	if !r.hasPayload(c.style == extended) {
		l.pos += head
		l.tally.add(&r)
		l.rest = append(l.rest, r)
		return true
	}
	return c.takePayload(l, r, head)
}

// takePayload is take for requests with a payload; ext-header, "Request message": more than the largest payload can
// not be anything but an attack, any other is dropped and the request refused.
func (c *conn) takePayload(l *lane, r request, head int) bool {
	if r.n > 2*MaxPayload || r.n > MaxPayload && c.style == extended {
		l.over, l.bad = true, fmt.Errorf("%w: payload of %d bytes, at most %d", errProtocol, r.n, MaxPayload)
		return false
	}
	if r.refused == nil && r.n > MaxPayload {
		r.refused = refuse(eINVAL, "payload of %d bytes, at most %d", r.n, MaxPayload)
	}
	if r.refused == nil && r.cmd == cmdBlockStatus && r.n > maxStatusPayload {
		r.refused = refuse(eINVAL, "block status with %d bytes of payload", r.n)
	}
	if r.refused != nil {
		l.pos += head
		l.tally.add(&r)
		l.refused, l.skip = r, r.n
		return r.n > 0 || l.drop()
	}
	if head+int(r.n) > len(l.in) {
		l.big = true
		return false
	}
	l.large = r.n >= largeWrite
	if l.missing = head + int(r.n) - (l.end - l.pos); l.missing > 0 {
		l.needWhole(head + int(r.n))
		return false
	}
	l.missing = 0
	payload := l.in[l.pos+head : l.pos+head+int(r.n)]
	l.pos += head + int(r.n)
	l.tally.add(&r)
	switch {
	case r.cmd == cmdBlockStatus:
		r.payload = append([]byte(nil), payload...)
		l.rest = append(l.rest, r)
	case r.fua():
		l.sync.add(r, payload)
	default:
		l.plain.add(r, payload)
	}
	return true
}

// needWhole makes sure that the window can take n bytes from pos on, if nothing in front of pos is in use.
func (l *lane) needWhole(n int) {
	if l.pos+n > len(l.in) && !l.pending() {
		l.end = copy(l.in, l.in[l.pos:l.end])
		l.pos = 0
	}
}

// drop discards payload of a refused request, and queues its answer when all is gone.
func (l *lane) drop() bool {
	k := min(l.skip, uint64(l.end-l.pos))
	l.pos += int(k)
	if l.skip>>20 != (l.skip-k)>>20 {
		l.waiting = 0 // another MiB: the client makes progress
	}
	l.skip -= k
	if l.skip > 0 {
		return false
	}
	l.rest = append(l.rest, l.refused)
	l.refused = request{}
	return true
}
