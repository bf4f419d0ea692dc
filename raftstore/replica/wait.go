package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/index"
)

// WaitApplied returns when this node has taken in the point, or a later one of its timeline, and each of the given disks
// shows it or a later one. They are disks of the group; one that SetDisks has not named yet is waited for too. A disk in
// conflict ends the wait with its error: it does not get there by waiting. So does the end of ctx.
func (s *Set) WaitApplied(ctx context.Context, p ident.Point, disks ...ident.UUID) error {
	g, err := s.group(p.Group)
	if err != nil {
		return err
	}
	for {
		g.mu.Lock()
		news, latched := g.news, g.err
		g.mu.Unlock()
		done, err := s.applied(g, p, disks)
		if done || err != nil {
			return err
		}
		select {
		case <-news:
		case <-s.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for point %v: %w", p, ctx.Err()), latched)
		}
	}
}

func (s *Set) applied(g *group, p ident.Point, disks []ident.UUID) (bool, error) {
	g.mu.Lock()
	newest := g.newest
	g.mu.Unlock()
	number, err := s.reached(newest, p)
	if err != nil || number == 0 {
		return false, err
	}
	return s.disksReached(disks, number)
}

// reached returns the number that a disk must show to show p or a later point of its timeline; 0 if p was not taken in.
func (s *Set) reached(newest *held, p ident.Point) (uint64, error) {
	if newest == nil {
		return 0, nil
	}
	if newest.Point.Point == p {
		return newest.Number, nil
	}
	rec, err := s.index.Lookup(p)
	if err == nil {
		return rec.Number, nil
	}
	if !errors.Is(err, index.ErrNoPoint) {
		return 0, err
	}
	if newest.Timeline == p.Timeline && newest.End >= p.End {
		return newest.Number, nil // p was forgotten; what came after it counts
	}
	return 0, nil
}

func isNoPoint(err error) bool { return errors.Is(err, index.ErrNoPoint) }
