package iscsi

import (
	"errors"
	"sync/atomic"
	"time"
)

// errRoleLost ends a reader whose place another goroutine has taken.
var errRoleLost = errors.New("reading role taken over")

// role is the right to read from a connection. Its holder marks when it does something that may block for reasons
// other than the socket being empty; a watcher that finds the same mark twice gives the role to a new goroutine.
//
// Invariant: the value grows; it is odd while the holder may block.
type role struct {
	v    atomic.Uint64
	seen uint64 // the watcher's
}

// enter marks the holder, whose mark is held, as one that may block.
func (r *role) enter(held uint64) { r.v.Store(held | 1) }

// leave returns the holder's new mark, or false if it holds the role no more.
func (r *role) leave(held uint64) (uint64, bool) {
	return held + 2, r.v.CompareAndSwap(held|1, held+2)
}

// take gives the role to the caller if the holder has been blocked since the call before.
func (r *role) take() (held uint64, ok bool) {
	v := r.v.Load()
	if v&1 == 0 || v != r.seen {
		r.seen = v
		return 0, false
	}
	return v + 1, r.v.CompareAndSwap(v, v+1)
}

const (
	watchEvery = time.Millisecond // a holder that blocks is replaced after one to two of these
	watchIdle  = 64               // quiet rounds after which the watcher sleeps
)

// watcher replaces blocked readers. It sleeps while no connection is busy.
type watcher struct {
	asleep atomic.Bool
	wake   chan struct{}
}

// stir wakes the watcher. Cheap when it is awake.
func (w *watcher) stir() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// watch runs until quit is closed.
func (s *Server) watch() {
	defer s.wg.Done()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	quiet := 0
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
		}
		if s.relieve() {
			quiet = 0
		} else if quiet++; quiet > watchIdle {
			tick.Stop()
			if !s.sleep() {
				return
			}
			tick.Reset(watchEvery)
			quiet = 0
		}
	}
}

// sleep returns when a connection becomes busy; false when the server ends.
func (s *Server) sleep() bool {
	s.watcher.asleep.Store(true)
	if s.relieve() && s.watcher.asleep.CompareAndSwap(true, false) { // became busy before it could see asleep
		return true
	}
	select {
	case <-s.watcher.wake:
		return true
	case <-s.quit:
		return false
	}
}

// relieve gives every role whose holder is blocked to a new goroutine. It reports whether any connection was busy
// since the round before.
func (s *Server) relieve() bool {
	busy := false
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.conns {
		before := c.role.seen
		if held, ok := c.role.take(); ok {
			c.wg.Go(func() { c.read(held) })
		}
		busy = busy || c.role.seen != before || c.role.seen&1 == 1
	}
	return busy
}
