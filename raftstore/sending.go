package raftstore

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// sending bounds the bytes of packs that are on their way to each replica. Safe for concurrent use.
type sending struct {
	mu    sync.Mutex
	peers map[string]*semaphore.Weighted
}

func newSending() *sending { return &sending{peers: make(map[string]*semaphore.Weighted)} }

// take waits until bytes may be sent to a node, or ctx ends. release must be called when they have been.
func (s *sending) take(ctx context.Context, node string, bytes int64) (release func(), err error) {
	s.mu.Lock()
	w := s.peers[node]
	if w == nil {
		w = semaphore.NewWeighted(bytesPerPeer)
		s.peers[node] = w
	}
	s.mu.Unlock()
	if err := w.Acquire(ctx, bytes); err != nil {
		return nil, err
	}
	return func() { w.Release(bytes) }, nil
}
