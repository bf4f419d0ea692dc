package nbd

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	monitorTick = 5 * time.Millisecond
	stuckAfter  = 5 * time.Millisecond // a leader that serves in place for longer is relieved
	quietTicks  = 20                   // without work after which the monitor sleeps
)

// monitor relieves leaders that are stuck in a command which was expected to be fast. It is one goroutine of the
// server, which sleeps while no connection has work.
type monitor struct {
	asleep atomic.Bool
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	mu    sync.Mutex
	conns map[*conn]struct{}
}

func newMonitor() *monitor {
	m := &monitor{
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		conns: make(map[*conn]struct{}),
	}
	go m.run()
	return m
}

func (m *monitor) add(c *conn) {
	m.mu.Lock()
	m.conns[c] = struct{}{}
	m.mu.Unlock()
}

func (m *monitor) remove(c *conn) {
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
}

// close ends the goroutine. No connection may be left.
func (m *monitor) close() {
	close(m.stop)
	<-m.done
}

// watch makes sure that the monitor is awake.
func (m *monitor) watch() {
	if m.asleep.Load() && m.asleep.CompareAndSwap(true, false) {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

func (m *monitor) run() {
	defer close(m.done)
	ticker := time.NewTicker(monitorTick)
	defer ticker.Stop()
	quiet := 0
	for {
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		}
		if m.look() {
			quiet = 0
			continue
		}
		if quiet++; quiet < quietTicks {
			continue
		}
		quiet = 0
		ticker.Stop()
		if !m.sleep() {
			return
		}
		ticker.Reset(monitorTick)
	}
}

// sleep waits for work. It returns false if the monitor shall end.
func (m *monitor) sleep() bool {
	m.asleep.Store(true)
	if m.look() && m.asleep.CompareAndSwap(true, false) {
		return true
	}
	select {
	case <-m.wake:
		return true
	case <-m.stop:
		return false
	}
}

// look relieves every leader that is stuck, and reports whether any was at work.
func (m *monitor) look() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	active, t := false, now()
	for c := range m.conns {
		since := c.busy.Load()
		if since == 0 {
			continue
		}
		active = true
		if t-since > int64(stuckAfter) {
			c.relieve(since)
		}
	}
	return active
}

// relieve gives the lead of c to a new goroutine, if the leader is still busy with what it began at since, and if the
// budget has room for one more lane. The new leader takes over what is not parsed, the commands not yet begun, and the
// replies not sent.
func (c *conn) relieve(since int64) {
	c.role.Lock()
	defer c.role.Unlock()
	g, ok := c.budget.tryAcquire(laneBytes)
	if !ok {
		return
	}
	if !c.busy.CompareAndSwap(since, 0) {
		c.budget.release(g)
		return
	}
	old, l := c.role.lane, newLane()
	l.grant, old.grant = old.grant, g // of the lane that ends first
	l.end = copy(l.in, old.in[old.pos:old.end])
	l.skip, l.refused = old.skip, old.refused
	l.over, l.bad, l.big = old.over, old.bad, old.big
	l.out = append(l.out, old.done...)
	c.claim(old, l)
	c.role.lane = l
	c.others.Add(1)
	go func() {
		defer c.others.Done()
		c.lead(l)
	}()
}

// claim moves the commands that the leader of old has not begun to l. The kind of the one that it is in is slow.
func (c *conn) claim(old, l *lane) {
	n := int64(len(old.rest))
	begun := min(old.next.Swap(n), n)
	if begun > 0 {
		c.paces[kindOf(old.rest[begun-1].cmd)].stuck()
	}
	l.rest = append(l.rest, old.rest[begun:n]...)
}
