package intercept

import (
	"fmt"
	"maps"
	"slices"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
)

// Ledger is what the group knows of its commits.
type Ledger struct {
	Committed ident.Point                   // the newest; zero: none yet
	States    map[ident.VolumeID]leaf.State // of the volumes at Committed
	Sent      *ident.Point                  // its commit may have been sent, the outcome is not known
}

// Ledger returns what is durable of the group's commits. The caller owns it.
func (g *Group) Ledger() Ledger {
	g.durable.Lock()
	defer g.durable.Unlock()
	s := &g.durable.state
	l := Ledger{Committed: s.Committed, States: maps.Clone(s.States)}
	if s.Sent != nil {
		p := s.Sent.Point
		l.Sent = &p
	}
	return l
}

// MarkSent records that the commit of e as p is about to be sent; durable on return. From here on the interval is
// frozen: it stays as it is, across restarts, until Committed, Return or ResolveSent. It may be called again with
// another p while the commit before is known not to have happened.
func (g *Group) MarkSent(e *Epoch, p ident.Point) error {
	if err := g.checkHanded(e); err != nil {
		return err
	}
	if p.End != e.End() {
		return fmt.Errorf("point ends at %d, epoch at %d: %w", p.End, e.End(), ErrArgument)
	}
	if err := g.storePieces(e); err != nil {
		return err
	}
	return g.update(func(s *checkpoint.State) { s.Sent = &checkpoint.Sent{First: e.First(), Point: p} })
}

// checkHanded reports whether e is the epoch that Next handed out.
func (g *Group) checkHanded(e *Epoch) error {
	g.handed.Lock()
	defer g.handed.Unlock()
	if g.handed.epoch != e || e == nil {
		return fmt.Errorf("epoch is not the one that is handed out: %w", ErrArgument)
	}
	return nil
}

// Committed records that e is committed as p, with the state hashes of the volumes there; durable on return. The epoch
// is destaged once it is released. Another epoch may be taken.
func (g *Group) Committed(e *Epoch, p ident.Point, states map[ident.VolumeID]leaf.State) error {
	if err := g.checkHanded(e); err != nil {
		return err
	}
	if p.End != e.End() {
		return fmt.Errorf("point ends at %d, epoch at %d: %w", p.End, e.End(), ErrArgument)
	}
	if err := g.settle(p, states); err != nil {
		return err
	}
	g.syncing.measure(e)
	g.meter.commit(e.hostBytes(), e.taken, g.opt.Now())
	g.handed.Lock()
	g.handed.epoch = nil
	g.handed.Unlock()
	g.keepsUp(e.SealedAt())
	return nil
}

// settle records p as the newest commit.
func (g *Group) settle(p ident.Point, states map[ident.VolumeID]leaf.State) error {
	err := g.update(func(s *checkpoint.State) {
		s.Committed, s.States, s.Sent = p, maps.Clone(states), nil
		s.Shadows = slices.DeleteFunc(s.Shadows, func(h checkpoint.Shadow) bool { return h.End < p.End })
	})
	if err != nil {
		return err
	}
	g.settled.Store(uint64(p.End))
	g.settleSyncs(p.End)
	g.pruneShadows()
	g.stacks.notify()
	return nil
}

// Return gives e, which was not sent or is known not to be committed, back to the queue, where it may be merged with
// what follows. It releases e. Returning an epoch that is not handed out only releases it.
func (g *Group) Return(e *Epoch) {
	e.Release()
	if e.layer != nil {
		e.layer.handed.Store(false)
	}
	if g.checkHanded(e) != nil {
		return
	}
	if g.Ledger().Sent != nil && g.log.Err() == nil {
		_ = g.update(func(s *checkpoint.State) { s.Sent = nil }) // a failure latches the group
	}
	g.handed.Lock()
	g.handed.epoch = nil
	g.handed.Unlock()
	g.stacks.notify()
}

// ResolveSent settles what a restart left open: whether Ledger().Sent is committed, and then with which state hashes.
// Durable on return. ErrArgument when nothing is open.
func (g *Group) ResolveSent(committed bool, states map[ident.VolumeID]leaf.State) error {
	sent := g.Ledger().Sent
	if sent == nil {
		return fmt.Errorf("nothing was sent: %w", ErrArgument)
	}
	if committed {
		return g.settle(*sent, states)
	}
	return g.update(func(s *checkpoint.State) { s.Sent = nil })
}
