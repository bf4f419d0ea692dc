package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/replicate"
)

// Waits between two tries of a group that can not go on.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 30 * time.Second
)

// held is a point of this node with its commit.
type held struct {
	*index.Point
	commit *replicate.Commit
}

func newHeld(p *index.Point) (*held, error) {
	c, err := replicate.DecodeCommit(p.Commit)
	if err != nil {
		return nil, fmt.Errorf("%w: commit of point %d: %w", index.ErrDamaged, p.Number, err)
	}
	return &held{Point: p, commit: c}, nil
}

// state returns the volume's entry in the commit, nil if it is not part of the point.
func (h *held) state(v ident.VolumeID) *replicate.VolumeState {
	for i := range h.commit.Volumes {
		if h.commit.Volumes[i].Volume == v {
			return &h.commit.Volumes[i]
		}
	}
	return nil
}

// complete reports whether the volume is part of the point, and its first sync was through.
func (h *held) complete(v ident.VolumeID) bool {
	st := h.state(v)
	return st != nil && !st.Partial && h.Find(v) != nil
}

// group is the state of one group on this node.
type group struct {
	s  *Set
	id ident.GroupID

	forgets atomic.Uint64 // points hidden so far; see Point.check

	// work is held by whoever writes entries of the group's volumes: one worker at a time, or the compactor. It is taken
	// before mu.
	work sync.Mutex

	mu      sync.Mutex
	queue   []Entry                 // not taken in, in order of number
	newest  *held                   // nil: nothing taken in yet
	err     error                   // what keeps queue[0] from being taken in
	wait    time.Duration           // until the next try, while err is set
	timer   *time.Timer             // nil: no try is due
	news    chan struct{}           // closed and replaced whenever something above changes
	kept    map[uint64]bool         // numbers to keep, by the last Reconcile and Advance; nil: no Reconcile came yet
	recheck bool                    // numbers that are not kept may be in the index
	left    bool                    // the last Reconcile kept nothing: the group is none of this node's
	drop    []uint64                // numbers to forget as soon as nothing needs them
	pins    map[ident.UUID][]uint64 // numbers of the points that a disk needs, by disk
}

func newGroup(s *Set, id ident.GroupID) *group {
	return &group{s: s, id: id, news: make(chan struct{}), pins: map[ident.UUID][]uint64{}}
}

// tell wakes all who wait for news.
func (g *group) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tellLocked()
}

// tellLocked wakes all who wait for news.
func (g *group) tellLocked() {
	close(g.news)
	g.news = make(chan struct{})
}

func (g *group) advance(e Entry) {
	g.mu.Lock()
	last := uint64(0)
	if g.newest != nil {
		last = g.newest.Number
	}
	if n := len(g.queue); n > 0 {
		last = max(last, g.queue[n-1].Number)
	}
	if e.Number <= last {
		g.mu.Unlock()
		return
	}
	g.queue, g.left = append(g.queue, e), false
	if g.kept != nil {
		g.kept[e.Number] = true // the last Reconcile may not have known of it
	}
	g.mu.Unlock()
	g.s.queue.add(g)
}

func (g *group) retry() {
	g.mu.Lock()
	g.wait = 0
	g.stopTimerLocked()
	g.mu.Unlock()
	g.s.queue.add(g)
}

func (g *group) stopTimer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopTimerLocked()
}

func (g *group) stopTimerLocked() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
}

// step does one piece of work, for which it has the turn t, and reports whether there is more. One worker at a time is
// in it.
func (g *group) step(t *turn) (more bool) {
	g.work.Lock()
	defer g.work.Unlock()
	if g.s.ctx.Err() != nil {
		return false
	}
	if err := g.forgetStep(); err != nil {
		g.s.opt.Logger.Error("replica: forget points", "group", g.id, "err", err)
	}
	g.mu.Lock()
	if len(g.queue) == 0 || g.timer != nil {
		g.mu.Unlock()
		return false
	}
	e, base := g.queue[0], g.newest
	g.mu.Unlock()
	p, err := g.s.ingest(g.s.ctx, t, e, base)
	if err == nil {
		return g.ingested(e, p)
	}
	if g.s.ctx.Err() == nil {
		g.failed(e, err)
	}
	return false
}

// ingested makes p the newest point; nil says that it was there already.
func (g *group) ingested(e Entry, p *held) (more bool) {
	g.mu.Lock()
	if p != nil {
		g.newest = p
		g.recheck = g.recheck || g.left
	}
	if len(g.queue) > 0 && g.queue[0].Number == e.Number {
		g.queue = g.queue[1:]
	}
	if len(g.queue) == 0 {
		g.queue = nil
	}
	g.err, g.wait = nil, 0
	g.tellLocked()
	more = len(g.queue) > 0 || g.left
	g.mu.Unlock()
	if p != nil {
		g.s.wakeDisks(g.id)
	}
	return more
}

// failed latches err and has the entry tried again later.
func (g *group) failed(e Entry, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = fmt.Errorf("group %s: point %d is not taken in: %w", g.id, e.Number, err)
	g.wait = min(max(2*g.wait, retryMin), retryMax)
	g.timer = time.AfterFunc(g.wait, func() {
		g.mu.Lock()
		g.timer = nil
		g.mu.Unlock()
		g.s.queue.add(g)
	})
	g.tellLocked()
	g.s.opt.Logger.Error("replica: point not taken in", "group", g.id, "number", e.Number, "again_in", g.wait, "err", err)
}

// mapped turns the index's way of saying that a point is not there into this package's.
func mapped(err error) error {
	if errors.Is(err, index.ErrNoPoint) {
		return fmt.Errorf("%w: %w", ErrNotIngested, err)
	}
	return err
}
