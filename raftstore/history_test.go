package raftstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// A history of one group's metadata is linearizable: sessions, commits and reads by several gateways at once, while
// leaders change and nodes restart, can be put into one order that explains every answer.

// groupState is what the model keeps of the group.
type groupState struct {
	term   uint64
	head   ident.Point
	number uint64
}

type opKind int

const (
	opOpen opKind = iota
	opCommit
	opRead
)

type operation struct {
	kind opKind
	term uint64      // opCommit
	prev ident.Point // opCommit
	made ident.Point // opCommit
}

type answer struct {
	unknown bool // no answer: it may have taken effect once, or not
	err     error
	term    uint64
	head    ident.Point
	number  uint64
}

func stepGroup(s groupState, op operation, a answer) []groupState {
	switch op.kind {
	case opOpen:
		next := groupState{s.term + 1, s.head, s.number}
		if a.unknown {
			return []groupState{s, next}
		}
		if a.term == next.term && a.head == s.head {
			return []groupState{next}
		}
		return nil
	case opRead:
		if a.unknown || a.head == s.head && a.number == s.number {
			return []groupState{s}
		}
		return nil
	}
	return stepCommit(s, op, a)
}

func stepCommit(s groupState, op operation, a answer) []groupState {
	next := groupState{s.term, op.made, s.number + 1}
	fits := op.term == s.term && op.prev == s.head
	switch {
	case a.unknown && fits:
		return []groupState{s, next}
	case a.unknown:
		return []groupState{s}
	case a.err == nil && fits && a.number == next.number:
		return []groupState{next}
	case errors.Is(a.err, rpc.ErrStaleTerm) && op.term != s.term:
		return []groupState{s}
	case errors.Is(a.err, rpc.ErrNotHead) && op.term == s.term && op.prev != s.head:
		return []groupState{s}
	}
	return nil
}

var groupModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{groupState{}} },
	Step: func(state, input, output any) []any {
		var out []any
		for _, s := range stepGroup(state.(groupState), input.(operation), output.(answer)) {
			out = append(out, s)
		}
		return out
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

// recorder collects the history of several clients.
type recorder struct {
	mu    sync.Mutex
	began time.Time
	ops   []porcupine.Operation
}

func (r *recorder) do(client int, op operation, f func() answer) answer {
	call := time.Since(r.began).Nanoseconds()
	a := f()
	ret := time.Since(r.began).Nanoseconds()
	if a.unknown && op.kind != opRead {
		ret = int64(time.Hour) // it may take effect at any time yet
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: op, Output: a, Call: call, Return: ret})
	return a
}

// rival is one of several gateways that commit to the same group.
type rival struct {
	*testGateway
	c   *testCluster
	r   *recorder
	n   int
	rng *rand.Rand
}

// leaderCalls returns calls to the leader of this moment, tried once.
func (v *rival) leaderCalls(nodes []*Node) (rpc.ProviderClient, *Node) {
	for {
		for _, n := range nodes {
			if n.Leading() {
				cc, err := nodes[0].peers.to(n.Address())
				if err == nil {
					return rpc.NewProviderClient(cc), n
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// definite reports whether an error says that nothing was changed.
func definite(err error) bool {
	return errors.Is(err, rpc.ErrStaleTerm) || errors.Is(err, rpc.ErrNotHead)
}

func (v *rival) run(nodes []*Node, ops int) {
	for range ops {
		ctx, cancel := context.WithTimeout(v.t.Context(), 10*time.Second)
		calls, _ := v.leaderCalls(nodes)
		switch k := v.rng.IntN(10); {
		case k == 0 || v.term == 0:
			v.openOnce(ctx, calls)
		case k < 7:
			v.commitOnce(ctx, calls)
		default:
			v.readOnce(ctx, calls)
		}
		cancel()
	}
}

func (v *rival) openOnce(ctx context.Context, calls rpc.ProviderClient) {
	a := v.r.do(v.n, operation{kind: opOpen}, func() answer {
		r, err := calls.OpenSession(ctx, &rpc.OpenSessionRequest{Group: v.group.UUID[:], Gateway: v.id[:], Takeover: true, Replace: true})
		if err != nil {
			return answer{unknown: true}
		}
		head, err := rpc.ToPoint(r.GetHead())
		return answer{term: r.GetTerm(), head: head, err: err}
	})
	if !a.unknown {
		v.term, v.head = a.term, a.head
	}
}

func (v *rival) commitOnce(ctx context.Context, calls rpc.ProviderClient) {
	v.end = v.head.End + ident.Seq(v.rng.IntN(5))
	c := v.next("")
	c.Name = "" // two rivals may make the same end, not the same commit
	c.Time = int64(v.n)
	op := operation{kind: opCommit, term: v.term, prev: v.head, made: c.Point()}
	a := v.r.do(v.n, op, func() answer {
		r, err := calls.Commit(ctx, &rpc.CommitRequest{Group: v.group.UUID[:], Term: v.term, Commit: c.Encode()})
		if err = rpc.FromStatus(err); err != nil {
			return answer{unknown: !definite(err), err: err}
		}
		return answer{number: r.GetNumber()}
	})
	if a.err == nil && !a.unknown {
		v.head = op.made
	}
}

func (v *rival) readOnce(ctx context.Context, calls rpc.ProviderClient) {
	v.r.do(v.n, operation{kind: opRead}, func() answer {
		r, err := calls.Points(ctx, &rpc.PointsRequest{Group: v.group.UUID[:], Limit: 1})
		if err != nil {
			return answer{unknown: true}
		}
		if len(r.GetPoints()) == 0 {
			return answer{}
		}
		p := r.GetPoints()[0]
		head, err := rpc.ToPoint(p.GetPoint())
		return answer{head: head, number: p.GetNumber(), err: err}
	})
}

func TestHistoryIsLinearizable(t *testing.T) {
	c := startCluster(t, 3)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var nodes []*Node
	for _, n := range c.nodes {
		nodes = append(nodes, n)
	}
	group := c.gateway()
	rec := &recorder{began: time.Now()}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			case <-time.After(150 * time.Millisecond):
				for _, n := range nodes {
					_ = n.TransferLeadership() // may fail; the next round tries again
				}
			}
		}
	}()
	var rivals sync.WaitGroup
	for i := range 4 {
		g := c.gateway()
		g.group, g.timeline, g.volume = group.group, group.timeline, group.volume
		v := &rival{testGateway: g, c: c, r: rec, n: i, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		rivals.Add(1)
		go func() {
			defer rivals.Done()
			v.run(nodes, 60)
		}()
	}
	rivals.Wait()
	close(stop)
	wg.Wait()
	unknown := 0
	for _, op := range rec.ops {
		if op.Output.(answer).unknown {
			unknown++
		}
	}
	t.Logf("%d operations, %d of unknown outcome", len(rec.ops), unknown)
	model := groupModel.ToModel()
	switch result, _ := porcupine.CheckOperationsVerbose(model, rec.ops, time.Minute); result {
	case porcupine.Illegal:
		t.Error("the history is not linearizable")
	case porcupine.Unknown:
		t.Log("the check did not finish within a minute")
	}
}
