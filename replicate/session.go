package replicate

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/rpc"
)

// ErrStateMismatch says that gateway and provider agree on the head's identity but not on its content (G8).
var ErrStateMismatch = errors.New("gateway and provider differ in the content of the head")

// open gets a session term and settles what the last session left open: whether the one interval whose commit may
// have been sent is committed. After it, the provider's head is the write path's last committed point.
func (s *Shipper) open(ctx context.Context) (term uint64, err error) {
	ledger := s.opt.Group.Ledger()
	request := SessionRequest{
		Group: s.opt.Group.ID(), GroupName: s.opt.GroupName,
		Gateway: s.opt.Gateway, GatewayName: s.opt.GatewayName,
		Cluster: s.cluster(), KnownHead: ledger.Committed, Takeover: s.act != None,
		Replace: s.act == Overwrite, Apart: s.act == Overwrite,
	}
	if ledger.Sent != nil {
		request.Sent = *ledger.Sent
	}
	session, err := s.opt.Provider.OpenSession(ctx, request)
	if err != nil {
		return 0, fmt.Errorf("opening a session: %w", err)
	}
	if err := s.adopt(session); err != nil {
		return 0, err
	}
	if err := s.reconcile(session); err != nil {
		if s.act != Overwrite || !errors.Is(err, rpc.ErrHistory) && !errors.Is(err, ErrStateMismatch) {
			return 0, err
		}
		return session.Term, s.replace(ctx, session)
	}
	return session.Term, s.acted()
}

func (s *Shipper) cluster() ident.ClusterID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.status.Cluster
}

// adopt remembers the cluster of the first session.
func (s *Shipper) adopt(session Session) error {
	if s.cluster().IsZero() && s.opt.OnCluster != nil {
		if err := s.opt.OnCluster(session.Cluster); err != nil {
			return fmt.Errorf("remembering cluster %s: %w", session.Cluster, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.status.Cluster, s.mu.status.Term = session.Cluster, session.Term
	return nil
}

// reconcile brings the write path's ledger and the provider's head together.
func (s *Shipper) reconcile(session Session) error {
	group := s.opt.Group
	ledger := group.Ledger()
	switch {
	case session.Head == ledger.Committed:
		if err := sameStates(session.Head, ledger.States, session.States); err != nil {
			return err
		}
		if s.held == nil && ledger.Sent != nil {
			return group.ResolveSent(false, nil)
		}
		return nil
	case s.held != nil && s.held.sent && session.Head == s.held.point:
		return s.settle(0)
	case s.held == nil && ledger.Sent != nil && session.Head == *ledger.Sent:
		if err := group.ResolveSent(true, session.States); err != nil {
			return fmt.Errorf("recording that %s was committed: %w", session.Head, err)
		}
		s.mu.Lock()
		s.mu.status.Head = session.Head
		s.mu.Unlock()
		return nil
	}
	return fmt.Errorf("%w: cluster is at %s, this gateway knows %s as committed", rpc.ErrHistory, session.Head,
		ledger.Committed)
}

// sameStates compares the state hashes of one point as each side computed them.
func sameStates(p ident.Point, ours, theirs map[ident.VolumeID]leaf.State) error {
	for id, want := range ours {
		if got, ok := theirs[id]; !ok || got != want {
			return fmt.Errorf("%w: volume %s at %s: provider has %s, gateway has %s", ErrStateMismatch, id, p, got, want)
		}
	}
	return nil
}
