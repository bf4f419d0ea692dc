package intercept

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
	"github.com/weirstor/weir/target"
)

// Group is an open group. All methods are safe for concurrent use; none may be called after Close.
type Group struct {
	opt  Options
	dir  string
	id   ident.GroupID
	lock io.Closer
	log  *wal.Log

	recordMax int64 // bytes; of a write that is one record
	batchMax  int64 // bytes; of a batch in the log

	stacks  stacks
	shadows shadows
	table   atomic.Pointer[table] // changed under the log's lock

	replicating atomic.Bool
	commits     commitWaits
	epochs      atomic.Uint64 // sealed since the group was opened

	admin   sync.Mutex // one change of the volume table at a time
	sealing sync.Mutex // one seal at a time
	seal    wal.Batch  // of the seal under way; guarded by sealing
	sealed  ident.Seq  // end of the newest sealed epoch; guarded by sealing

	volumes struct {
		sync.RWMutex
		list  []*Volume
		bases map[uint32]*base // of every volume that any layer or view may need
	}

	// durable is what the checkpoint holds.
	durable struct {
		sync.Mutex
		store *checkpoint.Store
		state checkpoint.State
	}

	handed struct {
		sync.Mutex
		epoch  *Epoch // handed out by Next; nil: none
		taking bool   // a Next is at work
	}

	merging  sync.Mutex // one merge of layers at a time
	syncing  syncing
	meter    meter
	throttle throttle
	space    space
	redo     redoSlots // the destager's

	baseEnd     atomic.Uint64 // last sequence that the base holds
	sentEnd     atomic.Uint64 // end of the interval whose commit may have been sent; 0: none
	overflowing atomic.Bool
	pace        pacer // of the destager

	settled atomic.Uint64 // end of the last committed epoch; stacks.notify follows each change

	sealKick chan struct{}
	done     chan struct{}
	workers  sync.WaitGroup
}

// ID names the group for its whole life.
func (g *Group) ID() ident.GroupID { return g.id }

// Timeline names the group's present history.
func (g *Group) Timeline() ident.Timeline {
	g.durable.Lock()
	defer g.durable.Unlock()
	return g.durable.state.Timeline
}

// Err returns the latched failure, nil while the group works. After a failed write or sync of the log nothing is
// acknowledged any more; the group must be closed and opened again.
func (g *Group) Err() error { return g.log.Err() }

// Fence makes every later write, and every one that is not acknowledged yet, fail with target.ErrFenced and err.
// Reading goes on.
func (g *Group) Fence(err error) { g.log.Fail(fmt.Errorf("%w: %w", target.ErrFenced, err)) }

// SetReplication says whether sealed epochs wait for a commit (the default) or are destaged as they are. What was
// destaged without a commit can not be replicated as an epoch later.
func (g *Group) SetReplication(on bool) {
	g.replicating.Store(on)
	g.stacks.notify()
}

// flush makes every write that was acknowledged before the call durable, in mode sync at the provider too.
func (g *Group) flush() error {
	if err := g.log.Err(); err != nil {
		return err
	}
	end := g.log.Watermark()
	if err := g.log.Sync(end); err != nil {
		return err
	}
	return g.awaitCommit(end)
}

// Flush makes every write to any volume that was acknowledged before the call durable.
func (g *Group) Flush() error { return g.flush() }

// settledEnd is the end of the last committed epoch. Who waits for it to change takes stacks.changed first.
func (g *Group) settledEnd() ident.Seq { return ident.Seq(g.settled.Load()) }

// Close seals nothing and waits for nothing to be sent: it makes what was acknowledged durable, joins the group's
// goroutines and closes its files. Every epoch must have been released and no other call may be under way. It returns
// the latched failure, if there was one.
func (g *Group) Close() error {
	close(g.done)
	g.stacks.notify()
	g.workers.Wait()
	err := g.log.Close()
	g.closeFiles()
	return err
}

// closeFiles closes everything but the log.
func (g *Group) closeFiles() {
	for _, b := range g.volumes.bases {
		b.close()
	}
	if chain := g.shadows.chain.Load(); chain != nil {
		for _, s := range *chain {
			s.close()
		}
	}
	g.redo.close()
	if g.durable.store != nil {
		g.durable.store.Close()
	}
	if g.lock != nil {
		g.lock.Close()
	}
}

// update changes the durable state by fn and makes it durable. A failure latches the group.
func (g *Group) update(fn func(*checkpoint.State)) error {
	g.durable.Lock()
	defer g.durable.Unlock()
	s := g.durable.state.Clone()
	fn(&s)
	s.Start.Synced = max(s.Start.Synced, g.log.Synced())
	if err := g.durable.store.Write(&s); err != nil {
		g.log.Fail(err)
		return err
	}
	g.durable.state = s
	g.baseEnd.Store(uint64(s.Start.Seq - 1))
	sent := uint64(0)
	if s.Sent != nil {
		sent = uint64(s.Sent.Point.End)
	}
	g.sentEnd.Store(sent)
	return nil
}

var errClosing = errors.New("group is being closed")
