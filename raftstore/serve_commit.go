package raftstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// acksRounds is how often acknowledgements are gathered anew because packs were deleted meanwhile.
const acksRounds = 4

// Commit implements rpc.ProviderServer.
func (s *server) Commit(ctx context.Context, r *rpc.CommitRequest) (*rpc.CommitReply, error) {
	c, err := replicate.DecodeCommit(r.GetCommit())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rpc.ErrBadRequest, err)
	}
	if group, err := toGroup(r.GetGroup()); err != nil || group != c.Group {
		return nil, fmt.Errorf("%w: commit of group %s sent for %x", rpc.ErrBadRequest, c.Group, r.GetGroup())
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	if err := s.opt.fault(stepReceived); err != nil {
		return nil, err
	}
	var made meta.Entry
	var repeat bool
	var p placement
	s.fsm.read(func(st *meta.State) {
		if made, repeat, err = st.Check(r.GetTerm(), c); err == nil {
			p, err = place(st, c.Group)
		}
	})
	if err != nil {
		return nil, err
	}
	if !repeat {
		if err := s.putInline(ctx, p, c, r); err != nil {
			return nil, err
		}
		if err := s.opt.fault(stepPut); err != nil {
			return nil, err
		}
		if made, err = s.commit(ctx, r.GetTerm(), c, r.GetCommit()); err != nil {
			return nil, err
		}
		s.acks.forget(c.Packs)
	}
	if err := s.opt.fault(stepCommitted); err != nil {
		return nil, err
	}
	return &rpc.CommitReply{Point: rpc.FromPoint(made.Point), Number: made.Number}, nil
}

// putInline brings the packs that came with the commit to a quorum.
func (s *server) putInline(ctx context.Context, p placement, c *replicate.Commit, r *rpc.CommitRequest) error {
	named := make(map[pack.ID]bool, len(c.Packs))
	for _, ref := range c.Packs {
		named[ref.ID] = true
	}
	ids := make([]pack.ID, len(r.GetPacks()))
	for i, b := range r.GetPacks() {
		if ids[i] = pack.Sum(b); !named[ids[i]] {
			return fmt.Errorf("%w: pack %s came with a commit that does not name it", rpc.ErrBadRequest, ids[i])
		}
	}
	errs := make(chan error, len(ids))
	for i, id := range ids {
		b := r.GetPacks()[i]
		go func() {
			_, err := s.spread(ctx, p, &rpc.PutPackRequest{Group: c.Group, Term: r.GetTerm(), ID: id, Data: b})
			errs <- err
		}()
	}
	var err error
	for range ids {
		err = errors.Join(err, <-errs)
	}
	return err
}

// commit gathers the acknowledgements of c's packs and has it agreed on.
func (s *server) commit(ctx context.Context, term uint64, c *replicate.Commit, data []byte) (meta.Entry, error) {
	for round := 1; ; round++ {
		t, err := try(s.fsm, func(st *meta.State) (*tally, error) { return newTally(st, c.Group, c.Packs) })
		if err != nil {
			return meta.Entry{}, err
		}
		for i, ref := range c.Packs {
			t.count(i, s.acks.get(ref.ID))
		}
		if len(t.missing()) > 0 {
			s.ask(ctx, c.Packs, t)
		}
		if missing := t.missing(); len(missing) > 0 {
			return meta.Entry{}, fmt.Errorf("%w: %d of %d packs, first is %s", rpc.ErrMissing, len(missing), len(c.Packs), c.Packs[missing[0]].ID)
		}
		if err := s.opt.fault(stepCounted); err != nil {
			return meta.Entry{}, err
		}
		r, err := s.propose(&meta.Commit{Group: c.Group, Term: term, Data: data, Acks: t.acks, Masks: t.compact()})
		if errors.Is(err, meta.ErrOldAcks) && round < acksRounds {
			continue
		}
		return r.Point, err
	}
}
