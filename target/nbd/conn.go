package nbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one connection in the transmission phase.
//
// Invariant: exactly one goroutine leads, that is, receives and parses; the lead changes hands under role.
type conn struct {
	*terms
	log     *slog.Logger
	opt     *Options
	tr      transport
	budget  budget
	monitor *monitor
	paces   [kinds]pace

	ctx    context.Context // ends when the connection is broken
	cancel context.CancelFunc

	closing atomic.Bool  // requests received from now on are refused with ESHUTDOWN
	busy    atomic.Int64 // when the leader began to serve what it has, by now(); 0 while it receives
	role    struct {
		sync.Mutex
		lane *lane // of the leader
	}

	jobs       chan job       // to the workers; closed by the last leader
	unfinished atomic.Int64   // jobs given to the workers
	workers    int64          // started; only the leader touches it
	others     sync.WaitGroup // workers and the leaders after the first

	dense atomic.Int64 // large reads in a row that found no hole
	out   outbox

	dead   atomic.Bool // nothing can be sent any more
	broken struct {
		sync.Mutex
		err error // why
	}

	stats struct {
		requests, read, written atomic.Uint64
	}
}

func newConn(s *Server, t *terms, tr transport, log *slog.Logger) *conn {
	c := &conn{terms: t, log: log, opt: &s.opt, tr: tr, monitor: s.monitor, jobs: make(chan job, s.opt.Workers)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.budget.init(s.bytes, s.opt.ConnBytes)
	for k := range c.paces {
		c.paces[k].init(kind(k))
	}
	return c
}

// serve runs the connection until the client leaves, early being what arrived with the handshake. All requests that
// were received are answered, and all goroutines of the connection have ended, when it returns.
func (c *conn) serve(early []byte) error {
	l := newLane()
	l.end = copy(l.in, early)
	c.role.lane = l
	c.lead(l)
	c.others.Wait()
	c.cancel()
	c.budget.close()
	c.broken.Lock()
	defer c.broken.Unlock()
	return c.broken.err
}

// fail breaks the connection: err can not be told to the client by a reply.
func (c *conn) fail(err error) {
	c.broken.Lock()
	if c.broken.err == nil {
		c.broken.err = err
	}
	c.broken.Unlock()
	c.dead.Store(true)
	c.cancel()
	c.budget.close()
	c.tr.Abort()
}

// shutdown lets what was received be answered, then ends the connection.
func (c *conn) shutdown() {
	c.closing.Store(true)
	c.tr.StopReading()
}

// lead receives and serves until the client is done, or the lead has passed to another goroutine.
func (c *conn) lead(l *lane) {
	defer c.leaveLane(l)
	c.sendLane(l) // there are replies if it was taken over
	for {
		c.parse(l)
		if l.pending() {
			if !c.execute(l) {
				return
			}
			continue
		}
		if l.big {
			c.stream(l)
			continue
		}
		if l.over {
			if l.bad != nil {
				c.fail(l.bad)
			}
			break
		}
		if err := c.receive(l); err != nil {
			c.ended(l, err)
			break
		}
	}
	close(c.jobs)
}

// ended decides what the end of the incoming bytes means.
func (c *conn) ended(l *lane, err error) {
	partial := l.end > l.pos || l.skip > 0
	switch {
	case errors.Is(err, io.EOF) && !partial, c.closing.Load():
	case errors.Is(err, io.EOF):
		c.fail(fmt.Errorf("client left in the middle of a request: %w", io.ErrUnexpectedEOF))
	default:
		c.fail(err)
	}
}

// receive waits for more bytes and appends them to the window, which has room.
func (c *conn) receive(l *lane) error {
	l.makeRoom()
	for {
		n, err := c.tr.Read(l.in[l.end:min(len(l.in), l.end+l.appetite())])
		if n > 0 {
			l.end += n
			l.unpark()
			return c.checkStall(l)
		}
		if !isTick(err) {
			return err
		}
		if err := c.checkStall(l); err != nil {
			return err
		}
		if !l.big {
			l.park()
		}
	}
}

// checkStall returns an error if the client has kept the server waiting for too long.
func (c *conn) checkStall(l *lane) error {
	if l.end == l.pos && l.skip == 0 && !l.big {
		l.waiting = 0
		if limit := c.opt.IdleTimeout; limit > 0 {
			return l.waitedFor(&l.quiet, limit, "idle")
		}
		return nil
	}
	l.quiet = 0
	return l.waitedFor(&l.waiting, c.opt.StallTimeout, "in the middle of a request")
}

func (l *lane) waitedFor(since *int64, limit time.Duration, what string) error {
	t := now()
	if *since == 0 {
		*since = t
	}
	if waited := time.Duration(t - *since); waited > limit {
		return fmt.Errorf("client was silent for %v, %s", waited.Round(time.Second), what)
	}
	return nil
}

// outbox sends replies, one goroutine at a time. Replies of workers that are ready together leave together.
type outbox struct {
	sending sync.Mutex
	queue   struct {
		sync.Mutex
		done []*buffer
	}
	taken []*buffer   // guarded by sending
	bufs  net.Buffers // guarded by sending
}

// send sends b, which holds whole replies.
func (c *conn) send(b []byte) {
	if len(b) == 0 || c.dead.Load() {
		return
	}
	c.out.sending.Lock()
	defer c.out.sending.Unlock()
	if _, err := c.tr.Write(b); err != nil {
		c.fail(err)
	}
}

// post hands over the reply of one request, and sends what is queued unless somebody else is about to.
func (c *conn) post(v *buffer) {
	o := &c.out
	o.queue.Lock()
	o.queue.done = append(o.queue.done, v)
	o.queue.Unlock()

	o.sending.Lock()
	defer o.sending.Unlock()
	o.queue.Lock()
	o.taken, o.queue.done = o.queue.done, o.taken[:0]
	o.queue.Unlock()
	if len(o.taken) == 0 {
		return
	}
	o.bufs = o.bufs[:0]
	for _, v := range o.taken {
		o.bufs = append(o.bufs, v.b)
	}
	if !c.dead.Load() {
		if err := c.tr.WriteAll(o.bufs); err != nil {
			c.fail(err)
		}
	}
	clear(o.bufs) // they are not to be kept alive until the next reply
	for i, v := range o.taken {
		v.free()
		o.taken[i] = nil
	}
}

// finish appends the answer to a request that returns no data.
func (c *conn) finish(b []byte, r *request, err error) []byte {
	if err == nil {
		return c.style.appendDone(b, r)
	}
	c.note(r, err)
	return c.style.appendError(b, r, err)
}

// note logs a failed request. What the client itself did wrong is not worth more than a debug line.
func (c *conn) note(r *request, err error) {
	level := slog.LevelDebug
	if errnoOf(err, r.cmd) == eIO {
		level = slog.LevelWarn
	}
	c.log.Log(c.ctx, level, "request failed", "command", uint16(r.cmd), "offset", r.off, "length", r.n, "error", err)
}
