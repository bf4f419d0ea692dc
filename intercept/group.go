package intercept

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/classify"
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

	merging sync.Mutex // one merge of layers at a time

	baseEnd     atomic.Uint64 // last sequence that the base holds
	sentEnd     atomic.Uint64 // end of the interval whose commit may have been sent; 0: none
	overflowing atomic.Bool

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

// Volume returns the volume with that name; ErrNotFound.
func (g *Group) Volume(name string) (*Volume, error) {
	g.volumes.RLock()
	defer g.volumes.RUnlock()
	for _, v := range g.volumes.list {
		if v.name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("volume %q: %w", name, ErrNotFound)
}

// Volumes returns the volumes in the order of their creation.
func (g *Group) Volumes() []*Volume {
	g.volumes.RLock()
	defer g.volumes.RUnlock()
	return slices.Clone(g.volumes.list)
}

// flush makes every write that was acknowledged before the call durable.
func (g *Group) flush() error {
	if err := g.log.Err(); err != nil {
		return err
	}
	return g.log.Sync(g.log.Watermark())
}

// Flush makes every write to any volume that was acknowledged before the call durable.
func (g *Group) Flush() error { return g.flush() }

// VolumeSpec describes a new volume.
type VolumeSpec struct {
	Name      string // 1 to 255 bytes, unique in the group
	Size      int64  // bytes, above 0, a multiple of BlockSize
	BlockSize int    // 512 or 4096; 0: 4096
}

func (s *VolumeSpec) check() error {
	if s.BlockSize == 0 {
		s.BlockSize = 4096
	}
	switch {
	case s.Name == "" || len(s.Name) > checkpoint.NameBytesMax || strings.ContainsAny(s.Name, "/\x00"):
		return fmt.Errorf("volume name %q: %w", s.Name, ErrArgument)
	case s.BlockSize != 512 && s.BlockSize != 4096:
		return fmt.Errorf("block size %d, 512 or 4096 wanted: %w", s.BlockSize, ErrArgument)
	case s.Size <= 0 || s.Size%int64(s.BlockSize) != 0:
		return fmt.Errorf("size %d, a multiple of %d above 0 wanted: %w", s.Size, s.BlockSize, ErrArgument)
	}
	return nil
}

// CreateVolume makes a volume of zeroes; durable on return. ErrExists when the name is taken, ErrArgument.
func (g *Group) CreateVolume(spec VolumeSpec) (*Volume, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	g.admin.Lock()
	defer g.admin.Unlock()
	if _, err := g.Volume(spec.Name); err == nil {
		return nil, fmt.Errorf("volume %q: %w", spec.Name, ErrExists)
	}
	t := g.table.Load()
	if len(t.volumes) >= checkpoint.VolumesMax {
		return nil, fmt.Errorf("a group has at most %d volumes: %w", checkpoint.VolumesMax, ErrArgument)
	}
	info := checkpoint.Volume{Number: t.next, ID: ident.VolumeID{UUID: ident.NewUUID()}, Name: spec.Name,
		Size: spec.Size, BlockSize: spec.BlockSize}
	b, err := createBase(g.opt.FS, g.dir, info.Number, info.ID, info.Size)
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", spec.Name, err)
	}
	g.volumes.Lock()
	g.volumes.bases[info.Number] = b
	g.volumes.Unlock()
	if err := g.change(tableChange{op: tableCreate, volume: info}); err != nil {
		if g.log.Err() == nil { // it did not reach the log
			g.forget(b)
		}
		return nil, fmt.Errorf("volume %q: %w", spec.Name, err)
	}
	v := g.newVolume(&info, b)
	g.volumes.Lock()
	defer g.volumes.Unlock()
	g.volumes.list = append(g.volumes.list, v)
	return v, nil
}

// forget closes and removes the files of a volume that nothing needs any more.
func (g *Group) forget(b *base) {
	g.volumes.Lock()
	delete(g.volumes.bases, b.number)
	g.volumes.Unlock()
	b.close()
	b.remove(g.opt.FS, g.dir)
}

func (g *Group) newVolume(info *checkpoint.Volume, b *base) *Volume {
	v := &Volume{group: g, number: info.Number, id: info.ID, name: info.Name, blockSize: info.BlockSize, base: b,
		tagger: classify.NewTagger()}
	v.size.Store(info.Size)
	return v
}

// change logs a change of the volume table, durably.
func (g *Group) change(c tableChange) error {
	b := &wal.Batch{Records: []wal.Record{c.record()}, Control: true}
	b.OnReserve = func(*wal.Batch) any {
		g.table.Store(g.table.Load().with(c))
		return nil
	}
	return g.control(b)
}

// control takes a batch of control records through the log, durably.
func (g *Group) control(b *wal.Batch) error {
	if err := g.log.Reserve(b); err != nil {
		return g.deviceError(err)
	}
	err := g.log.Write(b)
	if cerr := g.log.Complete(b); err == nil {
		err = cerr
	}
	if err == nil {
		err = g.log.Sync(b.Last())
	}
	if err != nil {
		return g.deviceError(err)
	}
	return nil
}

// DeleteVolume removes a volume and, once nothing needs it any more, its content; durable on return. Calls on the
// Volume fail from then on. ErrNotFound.
func (g *Group) DeleteVolume(name string) error {
	g.admin.Lock()
	defer g.admin.Unlock()
	v, err := g.Volume(name)
	if err != nil {
		return err
	}
	info := g.table.Load().find(v.number)
	v.gone.Store(true)
	if err := g.change(tableChange{op: tableDelete, volume: *info}); err != nil {
		v.gone.Store(g.log.Err() != nil) // it is still there when the change did not reach the log
		return fmt.Errorf("volume %q: %w", name, err)
	}
	g.volumes.Lock()
	defer g.volumes.Unlock()
	g.volumes.list = slices.DeleteFunc(g.volumes.list, func(o *Volume) bool { return o == v })
	return nil
}

// Resize grows the volume to size bytes, a multiple of its block size; what is added reads as zeroes. Durable on
// return. ErrArgument when size is below the present one.
func (v *Volume) Resize(size int64) error {
	g := v.group
	g.admin.Lock()
	defer g.admin.Unlock()
	if err := v.check(0, 0); err != nil {
		return err
	}
	if size < v.Size() || size%int64(v.blockSize) != 0 {
		return fmt.Errorf("volume %q has %d bytes and can only grow, by blocks of %d; %d: %w", v.name, v.Size(),
			v.blockSize, size, ErrArgument)
	}
	if err := v.base.grow(size); err != nil {
		return fmt.Errorf("volume %q: %w", v.name, err)
	}
	info := *g.table.Load().find(v.number)
	info.Size = size
	if err := g.change(tableChange{op: tableResize, volume: info}); err != nil {
		return fmt.Errorf("volume %q: %w", v.name, err)
	}
	v.size.Store(size)
	return nil
}

// Pending is what waits in the log.
type Pending struct {
	Epochs       int       // sealed, not known to be committed
	Bytes        int64     // that hosts wrote in them
	OldestSealed time.Time // of them; zero: none
	LogUsed      int64     // bytes of segments in use
	LogBudget    int64     // bytes
	EpochsSealed uint64    // since the group was opened
	Overflow     bool      // epochs were destaged before they were committed; what they changed waits too
	ActiveBytes  int64     // of log that the unsealed epoch takes
}

// Pending returns what waits in the log.
func (g *Group) Pending() Pending {
	p := Pending{EpochsSealed: g.epochs.Load()}
	p.LogUsed, p.LogBudget = g.log.Used()
	since, _ := g.log.Since()
	p.ActiveBytes = since.Bytes
	p.Overflow = g.baseEnd.Load() > g.settled.Load()
	settled := g.settledEnd()
	g.stacks.Lock()
	defer g.stacks.Unlock()
	for _, l := range g.stacks.current.Load().layers {
		if l.end == 0 || l.end <= settled {
			continue
		}
		p.Epochs++
		if p.OldestSealed.IsZero() {
			p.OldestSealed = l.oldest
		}
		for _, v := range *l.volumes.Load() {
			if v != nil {
				p.Bytes += v.hostBytes.Load()
			}
		}
	}
	return p
}

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
