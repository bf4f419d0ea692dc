package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// Options say what a Shipper ships, where to and as whom.
type Options struct {
	Group       *intercept.Group
	GroupName   string
	Provider    Provider
	Gateway     ident.UUID // of the gateway's data folder
	GatewayName string
	Cluster     ident.ClusterID             // known from an earlier session; zero: first contact
	OnCluster   func(ident.ClusterID) error // makes the cluster of the first session durable; nil: not kept
	Act         Act                         // the operator's explicit act, for the next session
	OnAct       func() error                // makes durable that the act is done; nil: not kept
	Content     Content                     // of the provider's points; needed by Overwrite
	CheckEvery  time.Duration               // how often an idle session is checked; 0: 5 s
	Codec       codec.Options
	Logger      *slog.Logger
}

// Shipper makes the sealed epochs of one group into points at the provider, in order, each exactly once. What it does
// not know after a failure it asks: a session's reply names the head, and the write path's ledger names the one
// interval whose commit may have been sent.
type Shipper struct {
	opt      Options
	packager *packager
	steering *steering
	retry    chan struct{} // an operator has acted: try again from Blocked

	// held is the epoch being shipped; it outlives a broken session. Owned by Run, as are act and over.
	held *shipment
	act  Act
	over *replaced // what the held epoch replaces instead of continuing it; nil: nothing

	mu struct {
		sync.Mutex
		status Status
	}
}

// shipment is one epoch on its way.
type shipment struct {
	epoch  *intercept.Epoch
	commit *Commit
	point  ident.Point
	inline []pack.Pack // small enough to travel with the commit
	sent   bool        // MarkSent has returned: the interval is frozen

	encodings map[ident.VolumeID]codec.EncodingCounts
}

// How a Shipper waits and what it keeps in flight.
const (
	reconnectDelayMin = 100 * time.Millisecond
	reconnectDelayMax = 5 * time.Second
	checkEveryDefault = 5 * time.Second
	putsInFlight      = 4         // packs of at most 8 MiB each
	inlineBytesMax    = 256 << 10 // an epoch's only pack, up to here, travels with the commit
)

// NewShipper returns a Shipper; Run does the work.
func NewShipper(opt Options) *Shipper {
	if opt.CheckEvery == 0 {
		opt.CheckEvery = checkEveryDefault
	}
	s := &Shipper{opt: opt, steering: &steering{}, act: opt.Act, retry: make(chan struct{}, 1)}
	s.packager = &packager{
		encoder: codec.NewEncoder(opt.Codec),
		maps:    make(map[ident.VolumeID]*classify.Map),
		ages:    make(map[ident.VolumeID]int),
		learn:   s.learn,
		steer:   s.steering,
	}
	s.mu.status = Status{State: Connecting, Cluster: opt.Cluster, Head: opt.Group.Ledger().Committed,
		Volumes: make(map[ident.VolumeID]codec.ClassCounts), Encodings: make(map[ident.VolumeID]codec.EncodingCounts)}
	return s
}

func (s *Shipper) learn(id ident.VolumeID, m *classify.Map) {
	for _, v := range s.opt.Group.Volumes() {
		if v.ID() == id {
			v.Tagger().Learn(m)
		}
	}
}

// Status returns what the shipper is doing now. Safe for concurrent use.
func (s *Shipper) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.mu.status
	st.Volumes, st.Encodings = maps.Clone(st.Volumes), maps.Clone(st.Encodings)
	return st
}

// Retry makes a Blocked shipper try again.
func (s *Shipper) Retry() {
	select {
	case s.retry <- struct{}{}:
	default:
	}
}

func (s *Shipper) setState(state State, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.status.State, s.mu.status.Reason = state, ""
	if reason != nil {
		s.mu.status.Reason = reason.Error()
	}
}

// Run ships until ctx ends, and then returns nil; or until the group is fenced or fails, and then returns why. Epochs
// not committed then stay sealed in the write log. A group whose history is not the cluster's is fenced too: what would
// be written to it could never be committed. An operator's Act, given to a new Shipper on the group opened anew, goes on.
func (s *Shipper) Run(ctx context.Context) error {
	defer s.drop()
	delay := reconnectDelayMin
	for {
		began := time.Now()
		err := s.session(ctx)
		switch {
		case ctx.Err() != nil:
			s.setState(Stopped, nil)
			return nil
		case errors.Is(err, rpc.ErrStaleTerm):
			s.opt.Group.Fence(err)
			s.setState(Fenced, err)
			s.opt.Logger.Error("fenced: writes are refused from now on", "group", s.opt.GroupName, "reason", err)
			return err
		case s.opt.Group.Err() != nil:
			s.setState(Stopped, err)
			return fmt.Errorf("group %s: %w", s.opt.GroupName, s.opt.Group.Err())
		case otherHistory(err):
			s.opt.Group.Fence(err)
			s.setState(Blocked, err)
			s.opt.Logger.Error("the group is read-only until an operator decides", "group", s.opt.GroupName, "reason", err)
			return err
		case needsOperator(err):
			s.setState(Blocked, err)
			s.opt.Logger.Error("replication waits for an operator", "group", s.opt.GroupName, "reason", err)
			select {
			case <-ctx.Done():
			case <-s.retry:
			}
			continue
		}
		s.setState(Connecting, err)
		s.opt.Logger.Warn("session ended; trying again", "group", s.opt.GroupName, "reason", err)
		if time.Since(began) > reconnectDelayMax {
			delay = reconnectDelayMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, reconnectDelayMax)
	}
}

// otherHistory reports whether the group's history and the cluster's are known to have parted.
func otherHistory(err error) bool {
	for _, e := range []error{rpc.ErrOwned, rpc.ErrForeign, rpc.ErrHistory, rpc.ErrFork, rpc.ErrOtherGroup} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// needsOperator reports whether trying again can not help by itself, although the history is the same.
func needsOperator(err error) bool { return errors.Is(err, ErrStateMismatch) }

// drop gives the held epoch back to the write path.
func (s *Shipper) drop() {
	if s.held == nil {
		return
	}
	s.packager.encoder.Forget()
	s.opt.Group.Return(s.held.epoch)
	s.held = nil
}

// session opens one session and ships until something breaks; it returns what broke.
func (s *Shipper) session(ctx context.Context) error {
	term, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.setState(Following, nil)
	for {
		if s.held == nil {
			e, err := s.next(ctx, term)
			if err != nil {
				return err
			}
			s.held = &shipment{epoch: e}
		}
		if s.held.commit == nil {
			if err := s.prepare(ctx, term); err != nil {
				return err
			}
		}
		if err := s.commit(ctx, term); err != nil {
			return err
		}
	}
}

// next waits for an epoch. While there is none, the session is checked now and then, so that a gateway from which the
// group was taken learns of it before it is written to.
func (s *Shipper) next(ctx context.Context, term uint64) (*intercept.Epoch, error) {
	for {
		wait, cancel := context.WithTimeout(ctx, s.opt.CheckEvery)
		e, err := s.opt.Group.Next(wait)
		cancel()
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return nil, fmt.Errorf("next epoch: %w", err)
		}
		if err := s.opt.Provider.CheckSession(ctx, s.opt.Group.ID(), term); err != nil {
			return nil, fmt.Errorf("checking the session: %w", err)
		}
	}
}

// prepare packages the held epoch and puts its packs.
func (s *Shipper) prepare(ctx context.Context, term uint64) error {
	if s.over != nil {
		return s.prepareOver(ctx, term)
	}
	ledger := s.opt.Group.Ledger()
	return s.pack(ctx, s.packager, term, s.held.epoch.Volumes(), ledger.Committed, ledger.States)
}

// pack packages the held epoch, as what volumes say, on top of the previous point, whose state hashes are states, and
// puts its packs.
func (s *Shipper) pack(ctx context.Context, p *packager, term uint64, volumes []intercept.EpochVolume, previous ident.Point,
	states map[ident.VolumeID]leaf.State) error {
	group := s.opt.Group
	out := newOutbox(ctx, s.opt.Provider, group.ID(), term)
	c, err := p.pack(out.ctx, s.held.epoch, volumes, previous, group.ID(), group.Timeline(), states, out.put)
	inline, putErr := out.wait()
	if err = cmp.Or(putErr, err); err != nil {
		p.encoder.Forget()
		return err
	}
	s.held.commit, s.held.point, s.held.inline, s.held.sent = c, c.Point(), inline, false
	s.held.encodings = p.encodings
	return nil
}

// commit sends the held epoch's commit and settles the outcome with the write path.
func (s *Shipper) commit(ctx context.Context, term uint64) error {
	h := s.held
	if !h.sent {
		if err := s.opt.Group.MarkSent(h.epoch, h.point); err != nil {
			return fmt.Errorf("making the intent to commit %s durable: %w", h.point, err)
		}
		h.sent = true
	}
	number, err := s.opt.Provider.Commit(ctx, term, h.commit, h.inline)
	if errors.Is(err, rpc.ErrMissing) {
		// Known not to be committed. The packs are made anew; they may differ, so the intent is marked anew too.
		s.packager.encoder.Forget()
		h.commit, h.inline = nil, nil
		return s.prepare(ctx, term)
	}
	if err != nil {
		return fmt.Errorf("commit of %s: %w", h.point, err)
	}
	return s.settle(number)
}

// settle tells the write path that the held epoch is committed.
func (s *Shipper) settle(number uint64) error {
	h := s.held
	states := make(map[ident.VolumeID]leaf.State, len(h.commit.Volumes))
	for _, v := range h.commit.Volumes {
		states[v.Volume] = v.State
	}
	if err := s.opt.Group.Committed(h.epoch, h.point, states); err != nil {
		return fmt.Errorf("recording that %s is committed: %w", h.point, err)
	}
	s.packager.encoder.Accept()
	h.epoch.Release()
	s.held, s.over = nil, nil
	s.mu.Lock()
	s.mu.status.add(h.commit, number)
	s.mu.status.addEncodings(h.encodings)
	s.mu.Unlock()
	return s.acted()
}
