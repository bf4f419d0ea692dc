package intercept

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

const lockName = "LOCK"

// newGroup returns a group on dir, which it locks; nothing is read yet.
func newGroup(dir string, opt Options) (*Group, error) {
	g := &Group{opt: opt, dir: dir, sealKick: make(chan struct{}, 1), done: make(chan struct{})}
	g.volumes.bases = make(map[uint32]*base)
	g.replicating.Store(true)
	g.stacks.init()
	g.shadows.chain.Store(new([]*shadow))
	lock, err := opt.FS.Lock(filepath.Join(dir, lockName))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", dir, ErrNotGroup)
	case err != nil:
		return nil, fmt.Errorf("group folder: %w", err)
	}
	g.lock = lock
	return g, nil
}

// Create makes a new group without volumes in dir, which is made if it does not exist; durable on return. ErrExists
// when dir holds a group, ErrInUse when another process has it open.
func Create(dir string, opt Options) (*Group, error) {
	opt = opt.withDefaults()
	if opt.SegmentBytes < 16*wal.PageBytes || opt.SegmentBytes%wal.PageBytes != 0 {
		return nil, fmt.Errorf("segments of %d bytes, a multiple of %d from %d on wanted: %w", opt.SegmentBytes,
			wal.PageBytes, 16*wal.PageBytes, ErrArgument)
	}
	if err := opt.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("group folder: %w", err)
	}
	g, err := newGroup(dir, opt)
	if err != nil {
		return nil, err
	}
	if err := g.create(); err != nil {
		g.closeFiles()
		return nil, err
	}
	return g, nil
}

// create fills an empty folder. What a creation left that a crash ended is removed first.
func (g *Group) create() error {
	names, err := g.opt.FS.List(g.dir)
	if err != nil {
		return fmt.Errorf("group folder: %w", err)
	}
	for _, name := range names {
		if name == checkpoint.FileName {
			return fmt.Errorf("%s holds a group: %w", g.dir, ErrExists)
		}
	}
	for _, name := range names {
		if ok, _ := filepath.Match("log-*.seg", name); ok {
			if err := g.opt.FS.Remove(filepath.Join(g.dir, name)); err != nil {
				return fmt.Errorf("group folder: %w", err)
			}
		}
	}
	g.id = ident.GroupID{UUID: ident.NewUUID()}
	log, start, err := wal.Create(g.logOptions(g.opt.SegmentBytes))
	if err != nil {
		return err
	}
	g.log = log
	g.durable.state = checkpoint.State{Group: g.id, Timeline: ident.Timeline{UUID: ident.NewUUID()}, SegmentBytes: g.opt.SegmentBytes,
		Start: start}
	if g.durable.store, err = checkpoint.Create(g.opt.FS, g.dir, &g.durable.state); err != nil {
		return errors.Join(err, log.Abandon())
	}
	if err := g.opt.FS.SyncDir(filepath.Dir(g.dir)); err != nil {
		return errors.Join(fmt.Errorf("group folder: %w", err), log.Abandon())
	}
	g.table.Store(new(table))
	g.begin([]*layer{newLayer(start.Seq, start.Pos, g.table.Load())}, wal.Usage{})
	return nil
}

// Open opens the group in dir: it reads the log that the base does not hold yet, and goes on in a new segment. What a
// power loss may have left behind the last complete record is cut off; damage before it is a *DamageError and the
// group does not open. ErrNotGroup, ErrInUse.
func Open(dir string, opt Options) (*Group, error) {
	opt = opt.withDefaults()
	g, err := newGroup(dir, opt)
	if err != nil {
		return nil, err
	}
	if err := g.open(); err != nil {
		if g.log != nil {
			_ = g.log.Abandon()
		}
		g.closeFiles()
		return nil, fmt.Errorf("group in %s: %w", dir, err)
	}
	return g, nil
}

func (g *Group) open() error {
	store, state, err := checkpoint.Open(g.opt.FS, g.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotGroup
	case errors.Is(err, checkpoint.ErrCorrupt):
		return &DamageError{Path: filepath.Join(g.dir, checkpoint.FileName), Err: err}
	case err != nil:
		return err
	}
	g.durable.store, g.durable.state = store, state
	g.id = state.Group
	var chain []*shadow
	r := &replay{group: g, bases: make(map[uint32]ident.VolumeID)}
	for i := range state.Shadows {
		s := openShadow(&state.Shadows[i])
		chain = append(chain, s)
		for j := range s.table.volumes {
			r.bases[s.table.volumes[j].Number] = s.table.volumes[j].ID
		}
	}
	g.shadows.chain.Store(&chain)
	r.start(&state)
	began := time.Now()
	log, found, err := wal.Recover(g.logOptions(state.SegmentBytes), state.Start, r.record)
	if err != nil {
		return err
	}
	g.log = log
	if err := g.openBases(r.bases); err != nil {
		return err
	}
	if err := g.finishRedo(r); err != nil {
		return err
	}
	if err := g.update(func(s *checkpoint.State) { s.Start.Cuts = found.Cuts }); err != nil {
		return err
	}
	g.opt.Logger.Info("write log read", "group", g.id, "records", found.Records, "bytes", found.Bytes,
		"dropped", found.Dropped, "took", time.Since(began))
	g.begin(r.layers, r.since)
	return nil
}

// finishRedo settles the blocks that the last process may have been writing.
func (g *Group) finishRedo(p *replay) error {
	r, err := g.loadRedo()
	if r == nil || err != nil {
		return err
	}
	if err := g.settleRedo(r, p.layers); err != nil {
		return err
	}
	if run := r.of(p.layers); len(run) > 1 {
		p.layers = slices.Insert(p.layers[len(run):], 0, mergeLayers(run))
	}
	return nil
}

// replay builds the layers from the log.
type replay struct {
	group  *Group
	layers []*layer
	since  wal.Usage                 // of the last layer
	bases  map[uint32]ident.VolumeID // of every volume that is in some table
}

func (r *replay) top() *layer { return r.layers[len(r.layers)-1] }

// start begins with the state of the checkpoint.
func (r *replay) start(s *checkpoint.State) {
	t := &table{next: s.NextNumber, volumes: s.Volumes}
	for i := range t.volumes {
		r.bases[t.volumes[i].Number] = t.volumes[i].ID
	}
	r.group.table.Store(t)
	r.group.sealed = s.Start.Seq - 1
	r.group.settled.Store(uint64(s.Committed.End))
	r.layers = []*layer{newLayer(s.Start.Seq, s.Start.Pos, t)}
}

// record takes one record of the log.
func (r *replay) record(rec *wal.Record) error {
	g, l := r.group, r.top()
	r.since.Records++
	r.since.Bytes += wal.RecordBytes(int64(len(rec.Payload)))
	switch rec.Kind {
	case wal.KindWrite, wal.KindZero:
		v := l.writable(rec.Volume)
		v.active.Load().Insert(extent.Entry{Pos: rec.Pos, Payload: uint32(len(rec.Payload)), Tag: rec.Tag}, rec.Off, rec.Len)
		v.hostBytes.Add(rec.Len)
	case wal.KindTable:
		c, err := decodeTableChange(rec.Payload)
		if err != nil {
			return fmt.Errorf("record %d: %w", rec.Seq, err)
		}
		g.table.Store(g.table.Load().with(c))
		r.bases[c.volume.Number] = c.volume.ID
	case wal.KindSeal:
		end := rec.Pos + wal.Pos(wal.RecordBytes(int64(len(rec.Payload))))
		l.seal(rec.Seq, end, g.table.Load(), string(rec.Payload), time.Unix(0, int64(rec.Aux)))
		l.finish()
		g.sealed, r.since = rec.Seq, wal.Usage{}
		r.layers = append(r.layers, newLayer(rec.Seq+1, end, g.table.Load()))
	}
	return nil
}

// openBases opens what the volumes hold behind the log.
func (g *Group) openBases(ids map[uint32]ident.VolumeID) error {
	for number, id := range ids {
		b, err := openBase(g.opt.FS, g.dir, number, id)
		if err != nil {
			return err
		}
		g.volumes.bases[number] = b
	}
	t := g.table.Load()
	for i := range t.volumes {
		info := &t.volumes[i]
		g.volumes.list = append(g.volumes.list, g.newVolume(info, g.volumes.bases[info.Number]))
	}
	if err := g.loadSyncs(); err != nil {
		return err
	}
	return g.removeOrphans()
}

// begin starts the group with its layers, the last of which is open.
func (g *Group) begin(layers []*layer, since wal.Usage) {
	segment := g.durable.state.SegmentBytes
	g.batchMax = wal.BatchBytesMax(segment) - wal.PageBytes
	g.recordMax = min(recordBytesMax, g.batchMax/2/wal.PageBytes*wal.PageBytes)
	g.stacks.install(layers)
	g.log.Begin(layers[len(layers)-1], since)
	g.workers.Add(2)
	go g.sealer()
	go g.destager()
}
