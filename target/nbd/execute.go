package nbd

import "github.com/weirstor/weir/target"

// execute serves what parse has collected in l: writes first, all of them as one batch, then the other commands. In
// flight together, they may be served in any order; proto.md, "Ordering of messages and writes". It returns false if
// the lead was taken over meanwhile; then all that is left of l is answered and l must be left.
func (c *conn) execute(l *lane) bool {
	l.next.Store(0)
	c.count(&l.tally)
	if len(l.plain.ops) > 0 {
		c.batch(l, &l.plain)
	}
	if len(l.sync.ops) > 0 {
		c.sendLane(l) // do not let others wait for stable storage
		c.batch(l, &l.sync)
	}
	c.serveRest(l)
	c.sendLane(l)
	l.rest = l.rest[:0]
	return !l.lost
}

// enter says that the leader is in a call of the device from now on, until leave. If that takes too long, the monitor
// may pass the lead on.
func (c *conn) enter(l *lane) {
	if l.lost {
		return
	}
	l.entered, l.done = now(), l.out
	c.busy.Store(l.entered)
	c.monitor.watch()
}

// leave ends what enter began, and notices whether the lead was lost.
func (c *conn) leave(l *lane) {
	if l.lost || c.busy.CompareAndSwap(l.entered, 0) {
		return
	}
	c.role.Lock() // until the taker has all that it takes from the lane
	l.lost = true
	c.role.Unlock()
	l.out = l.out[:copy(l.out, l.out[len(l.done):])]
}

// batch stores w and collects the answers.
func (c *conn) batch(l *lane, w *writes) {
	c.enter(l)
	target.WriteBatch(c.dev, w.ops)
	c.leave(l)
	for i := range w.ops {
		l.out = c.finish(l.out, &w.reqs[i], w.ops[i].Err)
	}
	w.reset()
}

// serveRest serves l.rest in order, each in place or through the workers. What the monitor has claimed is left out.
func (c *conn) serveRest(l *lane) {
	for {
		i := l.next.Add(1) - 1
		if i >= int64(len(l.rest)) {
			return
		}
		r := &l.rest[i]
		if r.refused != nil {
			l.out = c.finish(l.out, r, r.refused)
			continue
		}
		p := &c.paces[kindOf(r.cmd)]
		if !p.inPlace.Load() {
			c.sendLane(l) // dispatch may wait for a worker
			c.dispatch(*r)
			continue
		}
		if r.cmd == cmdFlush {
			c.sendLane(l)
		}
		c.inPlace(l, r)
		p.observe(now() - l.entered)
	}
}

// inPlace serves r into l.out, or, where its reply is too large for that, sends it on its own.
func (c *conn) inPlace(l *lane, r *request) {
	need := replySize(r)
	if need > outBytes {
		c.alone(l, r, need)
		return
	}
	if cap(l.out)-len(l.out) < need {
		c.sendLane(l)
	}
	c.enter(l)
	l.out = c.answer(l.out, r)
	c.leave(l)
}

// alone serves a request with a large reply in place.
func (c *conn) alone(l *lane, r *request, need int) {
	c.sendLane(l)
	g, err := c.budget.acquire(int64(need))
	if err != nil {
		return // the connection is broken
	}
	v := getBuffer(need)
	c.enter(l)
	v.b = c.answer(v.b, r)
	c.leave(l)
	c.send(v.b)
	v.free()
	c.budget.release(g)
}

// sendLane sends the replies collected in l.
func (c *conn) sendLane(l *lane) {
	c.send(l.out)
	l.out = l.out[:0]
}

// tally counts requests that were parsed.
type tally struct {
	requests, read, written uint64 // read and written in bytes
}

func (t *tally) add(r *request) {
	t.requests++
	if r.refused == nil && r.cmd == cmdRead {
		t.read += r.n
	} else if r.refused == nil && r.cmd == cmdWrite {
		t.written += r.n
	}
}

// count adds t to the figures of the session, and clears it.
func (c *conn) count(t *tally) {
	c.stats.requests.Add(t.requests)
	if t.written > 0 {
		c.stats.written.Add(t.written)
	}
	if t.read > 0 {
		c.stats.read.Add(t.read)
	}
	*t = tally{}
}

// leaveLane gives the lane back when its leader ends.
func (c *conn) leaveLane(l *lane) {
	c.budget.release(l.grant)
	if l.arena != nil {
		arenas.Put(l.arena)
	}
}
