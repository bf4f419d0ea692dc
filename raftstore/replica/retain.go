package replica

import (
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
)

// Reconcile tells which points of the group are kept, by number ascending: at start, after SetDisks, and whenever points
// were deleted. Newer entries that are not taken in yet are taken in; points that are not kept are forgotten by a worker,
// except the newest one and those that a disk of this node needs. Without any kept point the group is none of this
// node's any more: what is queued is dropped, and the newest point goes too.
func (s *Set) Reconcile(id ident.GroupID, kept []Entry) {
	g, err := s.group(id)
	if err != nil {
		s.opt.Logger.Error("replica: reconcile", "group", id, "err", err)
		return
	}
	numbers := make(map[uint64]bool, len(kept))
	for _, e := range kept {
		numbers[e.Number] = true
	}
	g.mu.Lock()
	g.kept, g.recheck = numbers, true
	if g.left = len(kept) == 0; g.left {
		g.queue, g.err = nil, nil
		g.tellLocked()
	}
	g.mu.Unlock()
	for _, e := range kept {
		g.advance(e)
	}
	s.queue.add(g)
}

// Forget tells that single points, by number, are not kept any more. It is Reconcile for those who know what changed.
func (s *Set) Forget(id ident.GroupID, numbers ...uint64) {
	g, err := s.group(id)
	if err != nil {
		s.opt.Logger.Error("replica: forget", "group", id, "err", err)
		return
	}
	g.mu.Lock()
	g.drop = append(g.drop, numbers...)
	g.mu.Unlock()
	s.queue.add(g)
}

// needed reports whether the point must stay, and why for the time being only: it is the newest, or a disk needs it.
func (g *group) needed(number uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.left && (g.newest == nil || number >= g.newest.Number) {
		return true
	}
	for _, pins := range g.pins {
		if slices.Contains(pins, number) {
			return true
		}
	}
	return false
}

// forgetStep forgets what Reconcile and Forget have asked for, as far as it is not needed.
func (g *group) forgetStep() error {
	if !g.s.disksKnown() {
		return nil
	}
	g.mu.Lock()
	todo, recheck := g.drop, g.recheck && g.kept != nil
	g.drop, g.recheck = nil, g.recheck && !recheck
	for _, n := range todo {
		delete(g.kept, n)
	}
	g.mu.Unlock()
	if recheck {
		todo = nil
		err := g.s.index.Numbers(g.id, func(n uint64, forgetting bool) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if forgetting || !g.kept[n] {
				todo = append(todo, n)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return g.forget(todo)
}

func (g *group) forget(numbers []uint64) error {
	var later []uint64
	forgot := false
	var err error
	for _, n := range numbers {
		if err != nil || g.s.ctx.Err() != nil || g.needed(n) {
			later = append(later, n)
			continue
		}
		if err = g.forgetOne(n); err != nil {
			later = append(later, n)
		}
		forgot = true
	}
	g.mu.Lock()
	g.drop = append(g.drop, later...)
	g.mu.Unlock()
	if !forgot || err != nil {
		return err
	}
	g.s.compactor.signal()
	return g.s.sweep()
}

func (g *group) forgetOne(number uint64) error {
	g.mu.Lock()
	newest := g.newest != nil && g.newest.Number == number
	forget := g.s.index.Forget
	if newest {
		forget, g.newest = g.s.index.ForgetLast, nil
	}
	g.mu.Unlock()
	if err := forget(g.id, number, func() { g.forgets.Add(1) }); err != nil && !isNoPoint(err) {
		return err
	}
	return nil
}

// sweep deletes store packs without a live block. What the packs were deleted for is made durable before.
func (s *Set) sweep() error {
	dead := s.index.TakeDead()
	if len(dead) == 0 {
		return nil
	}
	if err := s.index.Sync(); err != nil {
		return err
	}
	for _, no := range dead {
		gone, err := s.store.Delete(no)
		if err == nil && gone {
			err = s.index.DropPack(no)
		} else {
			s.index.PutDead(no)
		}
		if err != nil {
			return fmt.Errorf("replica: collect store pack %d: %w", no, err)
		}
	}
	return nil
}
