package replica

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// scheduler hands groups that have work to workers, each to one at a time, in turn. wake is broadcast whenever one of
// the fields changes.
type scheduler struct {
	mu     sync.Mutex
	wake   sync.Cond
	ready  []*group
	queued map[*group]bool // in ready
	busy   map[*group]bool // with a worker; true: it has got more work meanwhile
	closed bool
}

func (q *scheduler) init() {
	q.wake.L = &q.mu
	q.queued = map[*group]bool{}
	q.busy = map[*group]bool{}
}

// add has a worker look at g soon.
func (q *scheduler) add(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, working := q.busy[g]; working {
		q.busy[g] = true
		return
	}
	q.pushLocked(g)
}

func (q *scheduler) pushLocked(g *group) {
	if q.closed || q.queued[g] {
		return
	}
	q.queued[g] = true
	q.ready = append(q.ready, g)
	q.wake.Broadcast()
}

// next waits for a group with work; nil when the scheduler is closed.
func (q *scheduler) next() *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return nil
	}
	g := q.ready[0]
	q.ready = q.ready[1:]
	delete(q.queued, g)
	q.busy[g] = false
	return g
}

// done ends a worker's turn with g.
func (q *scheduler) done(g *group, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	more = more || q.busy[g]
	delete(q.busy, g)
	if more {
		q.pushLocked(g)
	}
	q.wake.Broadcast()
}

func (q *scheduler) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}

func (s *Set) startWorkers() {
	s.queue.init()
	s.turns = make(chan struct{}, s.opt.Workers)
	for range s.opt.Workers * waitersPerWorker {
		s.wg.Go(s.work)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		s.queue.add(g)
	}
}

// work takes groups in turn until the set is closed.
func (s *Set) work() {
	s.lowerPriority()
	for g := s.queue.next(); g != nil; g = s.queue.next() {
		t := s.takeTurn()
		more := g.step(t)
		t.leave()
		s.queue.done(g, more)
	}
}

// lowerPriority gives the goroutine a thread with the niceness of the options. The thread ends with the goroutine, so
// nobody inherits it.
func (s *Set) lowerPriority() {
	if s.opt.Nice <= 0 {
		return
	}
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), s.opt.Nice); err != nil {
		s.opt.Logger.Warn("replica: lower the priority of a worker", "err", err)
	}
}

// waitersPerWorker is how many groups, for each that is worked on, may wait until what was written for them is on
// stable storage. Those that wait together share their fdatasyncs.
const waitersPerWorker = 16

// turn is the right to work on a group. Not safe for concurrent use.
type turn struct{ turns chan struct{} }

// takeTurn waits until fewer than Options.Workers work.
func (s *Set) takeTurn() *turn {
	s.turns <- struct{}{}
	return &turn{s.turns}
}

// leave lets another one work, once.
func (t *turn) leave() {
	if t.turns != nil {
		<-t.turns
		t.turns = nil
	}
}
