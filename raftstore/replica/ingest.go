package replica

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/target"
)

// errGone says that a point can not be decoded because what it builds on, or its wire packs, can not be had any more.
var errGone = errors.New("can not be decoded here any more")

// ingest takes in one point on top of newest, the group's newest point. It returns nil, nil when the point is there. The
// turn t ends when the point is written and waits to be on stable storage.
func (s *Set) ingest(ctx context.Context, t *turn, e Entry, newest *held) (*held, error) {
	if newest != nil && e.Number <= newest.Number {
		return nil, nil
	}
	p := e.Commit.Point()
	base, err := s.baseOf(e.Commit, newest)
	if err == nil {
		var h *held
		if h, err = s.decode(ctx, t, e, p, base, newest); err == nil {
			return h, nil
		}
	}
	if s.opt.Peer == nil || ctx.Err() != nil || !repairable(err) {
		return nil, err
	}
	s.opt.Logger.Info("replica: copying a point from a peer", "point", p, "because", err)
	h, copyErr := s.copyPoint(ctx, t, e, p, newest)
	if copyErr != nil {
		return nil, errors.Join(err, copyErr)
	}
	return h, nil
}

// repairable reports whether a good copy of the point would help.
func repairable(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, ErrMismatch) || errors.Is(err, target.ErrIO) ||
		errors.As(err, new(*codec.BaseMismatchError))
}

// baseOf finds the point that the commit builds on; nil for the empty group.
func (s *Set) baseOf(c *replicate.Commit, newest *held) (*held, error) {
	if c.Previous.IsZero() {
		return nil, nil
	}
	if newest != nil && newest.Point.Point == c.Previous {
		return newest, nil
	}
	p, err := s.index.Lookup(c.Previous)
	if errors.Is(err, index.ErrNoPoint) {
		return nil, fmt.Errorf("point %v %w: it builds on %v, which is not here", c.Point(), errGone, c.Previous)
	}
	if err != nil {
		return nil, err
	}
	return newHeld(p)
}

// decode takes in a point from its wire packs.
func (s *Set) decode(ctx context.Context, t *turn, e Entry, p ident.Point, base, newest *held) (*held, error) {
	l, err := s.newLanding(e, p, base, newest)
	if err != nil {
		return nil, err
	}
	read := func(i int) ([]byte, error) {
		if i >= len(e.Commit.Packs) {
			return nil, io.EOF
		}
		return s.wirePack(ctx, p.Group, e.Commit.Packs[i].ID)
	}
	err = s.opt.Decode(ctx, read, codec.Target{Old: l.old, Size: l.size, Emit: l.emit})
	if err == nil {
		err = l.write()
	}
	if err == nil {
		err = l.verify()
	}
	if err != nil {
		return nil, errors.Join(err, l.abort())
	}
	return l.commit(t)
}

// wirePack returns a wire pack from the node's store or, after fetching and keeping it, from elsewhere.
func (s *Set) wirePack(ctx context.Context, g ident.GroupID, id pack.ID) ([]byte, error) {
	b, err := s.opt.Packs.Get(id)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, packs.ErrNotFound) && !errors.Is(err, packs.ErrDamaged) {
		return nil, err
	}
	if s.opt.Fetch == nil {
		return nil, fmt.Errorf("wire pack %w: %w", errGone, err)
	}
	b, fetchErr := s.opt.Fetch(ctx, g, id)
	if errors.Is(fetchErr, packs.ErrNotFound) {
		return nil, fmt.Errorf("wire pack %w: %w", errGone, fetchErr)
	}
	if fetchErr != nil {
		return nil, fmt.Errorf("fetch wire pack %s: %w", id, fetchErr)
	}
	return b, s.opt.Packs.Put(id, b)
}
