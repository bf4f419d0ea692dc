package raftstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
)

// leadership does what falls to the leader, while this node is it.
type leadership struct {
	n  *Node
	wg sync.WaitGroup

	mu      sync.Mutex
	led     bool          // all that earlier leaders agreed on is applied here
	changed chan struct{} // closed when led changes
	end     chan struct{}
}

const leaderRetryDelay = 100 * time.Millisecond

func startLeadership(n *Node) *leadership {
	l := &leadership{n: n, changed: make(chan struct{}), end: make(chan struct{})}
	l.wg.Add(1)
	go l.run()
	return l
}

// stop ends the leader's work. It must be called before Raft is shut down.
func (l *leadership) stop() {
	close(l.end)
	l.wg.Wait()
}

func (l *leadership) run() {
	defer l.wg.Done()
	cancel, done := func() {}, make(chan struct{})
	close(done)
	for {
		select {
		case leads := <-l.n.raft.LeaderCh():
			cancel()
			<-done
			l.set(false)
			if leads {
				var ctx context.Context
				ctx, cancel = context.WithCancel(context.Background())
				done = make(chan struct{})
				go func() {
					defer close(done)
					l.lead(ctx)
				}()
			}
		case <-l.end:
			cancel()
			<-done
			l.set(false)
			return
		}
	}
}

// lead takes office, then keeps house until ctx ends.
func (l *leadership) lead(ctx context.Context) {
	for {
		err := l.n.takeOffice()
		if err == nil {
			break
		}
		l.n.log.Info("taking the lead", "err", err)
		if !sleep(ctx, leaderRetryDelay) {
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	l.set(true)
	l.n.log.Info("leading the cluster")
	l.n.keepHouse(ctx)
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (l *leadership) set(led bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.led != led {
		l.led = led
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *leadership) ready() bool {
	l.mu.Lock()
	led := l.led
	l.mu.Unlock()
	return led && l.n.raft.State() == raft.Leader
}

// takeOffice applies everything that was agreed before, founds the cluster if nobody has, and makes this node known at
// its present address.
func (n *Node) takeOffice() error {
	if err := n.raft.Barrier(proposeTimeout).Error(); err != nil {
		return fmt.Errorf("catching up: %w", err)
	}
	founded := view(n.fsm, func(s *meta.State) bool { return !s.Cluster().IsZero() })
	if !founded {
		_, err := n.propose(&meta.Init{
			Cluster: n.folder.Cluster, Replicas: uint32(n.opt.ReplicationFactor), KeepLast: uint32(n.opt.KeepLast),
		})
		if err != nil && !errors.Is(err, rpc.ErrExists) {
			return fmt.Errorf("founding the cluster: %w", err)
		}
	}
	return n.admit(meta.Node{Name: n.opt.Name, ID: n.ID(), Address: n.address})
}

// requireLeader returns nil on the leader, once it may answer, and NotLeader elsewhere.
func (n *Node) requireLeader(ctx context.Context) error {
	for {
		n.lead.mu.Lock()
		led, changed := n.lead.led, n.lead.changed
		n.lead.mu.Unlock()
		if n.raft.State() != raft.Leader {
			return n.notLeader()
		}
		if led {
			return nil
		}
		select {
		case <-changed:
		case <-time.After(leaderRetryDelay): // look again whether Raft still says so
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *Node) notLeader() error {
	addr := n.LeaderAddress()
	if addr == n.address {
		addr = ""
	}
	return &rpc.NotLeader{Address: addr}
}

// propose has cmd agreed on and returns what the State made of it. After NotLeader it is unknown whether cmd took
// effect; commands may be proposed again.
func (n *Node) propose(cmd meta.Command) (meta.Result, error) {
	f := n.raft.Apply(meta.Encode(cmd), proposeTimeout)
	if err := f.Error(); err != nil {
		if errors.Is(err, raft.ErrEnqueueTimeout) {
			return meta.Result{}, fmt.Errorf("%w: %w", rpc.ErrNoQuorum, err)
		}
		n.log.Debug("proposal failed", "kind", cmd.Kind(), "err", err)
		return meta.Result{}, n.notLeader()
	}
	r, ok := f.Response().(meta.Result)
	if !ok {
		return meta.Result{}, fmt.Errorf("answer to a proposal is a %T", f.Response())
	}
	return r, r.Err
}
