package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/weirstor/weir/raftstore/meta"
)

// fsm lets Raft drive a meta.State and others read it.
type fsm struct {
	local *local // told of what was agreed

	mu      sync.RWMutex
	state   *meta.State
	index   uint64        // of the last command applied
	err     error         // set when a command can not be understood; nothing is applied after it
	changed chan struct{} // closed at the next change
}

var _ raft.BatchingFSM = (*fsm)(nil)

func newFSM(l *local) *fsm {
	l.state = meta.New()
	return &fsm{local: l, state: l.state, changed: make(chan struct{})}
}

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM. The response to a command is its meta.Result.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	f.mu.Lock()
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			r := f.applyLocked(l)
			f.local.agreed(f.state, l.Index, r)
			out[i] = r
		}
	}
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	f.local.deliver()
	return out
}

func (f *fsm) applyLocked(l *raft.Log) meta.Result {
	if f.err != nil {
		return meta.Result{Err: f.err}
	}
	r := f.state.Apply(l.Index, l.Data)
	if errors.Is(r.Err, meta.ErrBadEncoding) {
		f.err = fmt.Errorf("log entry %d: %w; this build is too old for the cluster", l.Index, r.Err)
	}
	f.index = l.Index
	return r
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	return snapshot{f.state.Clone()}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	s, err := meta.Restore(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	f.mu.Lock()
	f.state, f.err = s, nil
	f.local.restored(s)
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	f.local.deliver()
	return nil
}

type snapshot struct{ state *meta.State }

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.state.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}

// read calls look with the State, which must not be kept.
func (f *fsm) read(look func(*meta.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	look(f.state)
}

// view returns what look finds in the State.
func view[T any](f *fsm, look func(*meta.State) T) T {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return look(f.state)
}

// try returns the two things that look finds in the State: a value and whether there is one, or an error.
func try[A, B any](f *fsm, look func(*meta.State) (A, B)) (A, B) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return look(f.state)
}

func (f *fsm) applied() (uint64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.index, f.err
}

// wait returns when done says so of the State, or with its error, or when ctx ends.
func (f *fsm) wait(ctx context.Context, done func(*meta.State) (bool, error)) error {
	for {
		f.mu.RLock()
		ok, err := done(f.state)
		broken, changed := f.err, f.changed
		f.mu.RUnlock()
		if ok || err != nil {
			return err
		}
		if broken != nil {
			return broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
