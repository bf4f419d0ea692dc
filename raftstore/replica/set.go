package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/index"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/raftstore/packs/storepack"
)

// Set is everything that one node holds of its groups. Safe for concurrent use.
type Set struct {
	opt    Options
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	index  *index.DB
	store  *storepack.Store
	queue  scheduler
	turns  chan struct{} // holds one for each group that is worked on

	compactor *compactor
	written   atomic.Int64 // bytes of frames of new points, since Open
	rewritten atomic.Int64 // bytes of frames that were written again, since Open

	wg sync.WaitGroup

	mu     sync.Mutex
	groups map[ident.GroupID]*group
	disks  map[ident.UUID]*follower
	specs  []DiskSpec // by the last SetDisks
	known  bool       // the disks of a SetDisks were looked at: points that they need can be told from others
	closed bool

	respecs chan struct{} // holds one: specs has changed
}

// Open opens the node's store below opt.Dir, which it creates if absent. Every point that was ingested is offered at
// once; what was being taken in when the process ended waits for Advance or Reconcile.
func Open(opt Options) (*Set, error) {
	opt.fill()
	if opt.Dir == "" || opt.Packs == nil {
		return nil, errors.New("replica: no folder or no pack store given")
	}
	s := &Set{opt: opt, groups: map[ident.GroupID]*group{}, disks: map[ident.UUID]*follower{},
		respecs: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.compactor = newCompactor(s)
	if err := s.openStores(); err != nil {
		s.cancel()
		return nil, fmt.Errorf("replica: %w", err)
	}
	if err := s.load(); err != nil {
		s.cancel()
		return nil, errors.Join(fmt.Errorf("replica: %w", err), s.closeStores())
	}
	s.startWorkers()
	s.wg.Go(s.compactor.run)
	s.wg.Go(s.keepDisks)
	return s, nil
}

func (s *Set) path(elem ...string) string {
	return s.opt.FS.PathJoin(append([]string{s.opt.Dir}, elem...)...)
}

func (s *Set) openStores() error {
	if err := durable.MkdirAll(s.opt.FS, s.path("disks")); err != nil {
		return err
	}
	var err error
	s.store, err = storepack.Open(s.path("store"), storepack.Options{
		FS: s.opt.FS, CacheBytes: s.opt.FrameCacheBytes, Logger: s.opt.Logger})
	if err != nil {
		return err
	}
	s.index, err = index.Open(s.path("index"), index.Options{
		FS: s.opt.FS, CacheBytes: s.opt.IndexCacheBytes, Logger: s.opt.Logger})
	if err != nil {
		return errors.Join(err, s.store.Close())
	}
	return nil
}

func (s *Set) closeStores() error { return errors.Join(s.index.Close(), s.store.Close()) }

// load finds the newest point of every group and drops store packs that nothing refers to.
func (s *Set) load() error {
	groups, err := s.index.Groups()
	if err != nil {
		return err
	}
	for _, id := range groups {
		if _, err := s.group(id); err != nil {
			return err
		}
	}
	usage := s.index.Usage()
	for no := range usage {
		s.store.Skip(no)
	}
	if err := s.checkStore(len(groups), usage); err != nil {
		return err
	}
	for no := range s.store.Packs() {
		if usage[no].Live == 0 {
			s.index.PutDead(no)
		}
	}
	s.compactor.signal()
	return s.sweep()
}

// checkStore refuses an index that was lost while the store packs, from which it can be made again, are there.
func (s *Set) checkStore(groups int, usage map[uint32]index.Usage) error {
	count, bytes := s.store.Usage()
	if groups > 0 || len(usage) > 0 || count <= lostIndexPacks {
		return nil
	}
	return fmt.Errorf("%w: it is empty beside %d store packs of %d bytes", index.ErrDamaged, count, bytes)
}

// lostIndexPacks is how many packs may lie beside an empty index: what the first, unfinished points of a new node leave.
const lostIndexPacks = 16

// group returns the state of a group, which it loads when it is asked for the first time.
func (s *Set) group(id ident.GroupID) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if g := s.groups[id]; g != nil {
		return g, nil
	}
	g := newGroup(s, id)
	p, err := s.index.Newest(id)
	if err == nil {
		g.newest, err = newHeld(p)
	}
	if err != nil && !errors.Is(err, index.ErrNoPoint) {
		return nil, fmt.Errorf("group %s: %w", id, err)
	}
	s.groups[id] = g
	return g, nil
}

// Close ends all work, waits for it, and closes the stores. Points must not be read any more.
func (s *Set) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	groups := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		groups = append(groups, g)
	}
	s.mu.Unlock()
	s.cancel()
	s.queue.close()
	for _, g := range groups {
		g.stopTimer()
	}
	s.wg.Wait()
	return errors.Join(s.closeDisks(), s.closeStores())
}

// Advance tells of a commit. Entries of a group are given in order; one given again is ignored. It never blocks: the
// entry is taken in by a worker, and Err tells if it can not be.
func (s *Set) Advance(e Entry) {
	g, err := s.group(e.Commit.Group)
	if err != nil {
		s.opt.Logger.Error("replica: commit not taken in", "group", e.Commit.Group, "number", e.Number, "err", err)
		return
	}
	g.advance(e)
}

// Verified returns the newest point of the group that is taken in and verified; the zero Point if there is none.
func (s *Set) Verified(id ident.GroupID) ident.Point {
	g, err := s.group(id)
	if err != nil {
		return ident.Point{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.newest == nil {
		return ident.Point{}
	}
	return g.newest.Point.Point
}

// Err returns what keeps the group from taking in its next point; nil if nothing does.
func (s *Set) Err(id ident.GroupID) error {
	g, err := s.group(id)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// Retry has a group that Err speaks of try again at once rather than at its next turn.
func (s *Set) Retry(id ident.GroupID) {
	if g, err := s.group(id); err == nil {
		g.retry()
	}
}

// Usage is what the node's store takes.
type Usage struct {
	Packs       int   // store packs
	PackBytes   int64 // their size
	BlocksLive  int64 // blocks of 4 KiB that a kept point sees
	BlocksTotal int64 // blocks in all store packs that are there

	// Since the set was opened: bytes written for new points, and bytes written again to free packs that are mostly dead.
	// Their sum over the first is the write amplification of the store.
	WrittenBytes, RewrittenBytes int64
}

// Usage returns what the node's store takes.
func (s *Set) Usage() Usage {
	u := Usage{WrittenBytes: s.written.Load(), RewrittenBytes: s.rewritten.Load()}
	u.Packs, u.PackBytes = s.store.Usage()
	sum := s.index.Sum()
	u.BlocksLive, u.BlocksTotal = sum.Live, sum.Total
	return u
}
