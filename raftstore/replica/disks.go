package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/disk"
	"github.com/weirstor/weir/raftstore/index"
)

// follower runs one disk of this node: one goroutine that brings it on whenever its group has a newer point.
type follower struct {
	s      *Set
	d      *disk.Disk
	g      *group
	wake   chan struct{} // holds one
	cancel context.CancelFunc
	done   chan struct{}
}

// SetDisks tells which disks this node keeps. New ones begin to follow, those that are not listed any more are let go
// with what they show, and one whose description has changed is let go and begun again. It must be called once, even
// without disks, before anything is forgotten, since a disk may need it. It never blocks: the change is made by a
// goroutine of the set, in the order of the calls; a description that is not valid is logged and left out.
func (s *Set) SetDisks(specs []DiskSpec) {
	s.mu.Lock()
	s.specs = slices.Clone(specs)
	s.mu.Unlock()
	select {
	case s.respecs <- struct{}{}:
	default:
	}
}

// keepDisks makes the changes that SetDisks asks for until the set is closed.
func (s *Set) keepDisks() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.respecs:
		}
		s.mu.Lock()
		specs := s.specs
		s.mu.Unlock()
		s.changeDisks(specs)
		s.mu.Lock()
		s.known = true
		for _, g := range s.groups {
			g.tell()
			s.queue.add(g)
		}
		s.mu.Unlock()
	}
}

func (s *Set) changeDisks(specs []DiskSpec) {
	wanted := map[ident.UUID]DiskSpec{}
	for _, spec := range specs {
		if spec.Policy == "" {
			spec.Policy = disk.Refuse
		}
		if err := spec.Valid(); err != nil {
			s.opt.Logger.Error("replica: disk is left out", "disk", spec.ID, "place", spec.Place, "err", err)
			continue
		}
		wanted[spec.ID] = spec
	}
	if err := s.dropDisks(wanted); err != nil {
		s.opt.Logger.Error("replica: let go of disks", "err", err)
	}
	for _, spec := range wanted {
		if err := s.addDisk(spec); err != nil {
			s.opt.Logger.Error("replica: disk is left out", "disk", spec.ID, "place", spec.Place, "err", err)
		}
	}
}

func (s *Set) disksKnown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known
}

// dropDisks lets go of the disks that are not wanted as they are.
func (s *Set) dropDisks(wanted map[ident.UUID]DiskSpec) error {
	s.mu.Lock()
	var drop []*follower
	for id, f := range s.disks {
		if spec, ok := wanted[id]; !ok || spec != f.d.Spec() {
			drop = append(drop, f)
			delete(s.disks, id)
		}
	}
	s.mu.Unlock()
	return stopAll(drop)
}

func stopAll(list []*follower) error {
	var errs []error
	for _, f := range list {
		f.cancel()
	}
	for _, f := range list {
		<-f.done
		errs = append(errs, f.d.Close())
		f.g.unpin(f.d.Spec().ID)
	}
	return errors.Join(errs...)
}

func (s *Set) closeDisks() error {
	s.mu.Lock()
	var all []*follower
	for _, f := range s.disks {
		all = append(all, f)
	}
	clear(s.disks)
	s.mu.Unlock()
	return stopAll(all)
}

// addDisk begins to follow a disk, unless that is done already.
func (s *Set) addDisk(spec DiskSpec) error {
	g, err := s.group(spec.Group)
	if err != nil {
		return err
	}
	d, err := disk.New(spec, disk.Options{Dir: s.path("disks"), FS: s.opt.FS, OpenBacking: s.opt.OpenBacking,
		Logger: s.opt.Logger})
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed || s.disks[spec.ID] != nil {
		s.mu.Unlock()
		return nil
	}
	f := &follower{s: s, d: d, g: g, wake: make(chan struct{}, 1), done: make(chan struct{})}
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(s.ctx)
	s.disks[spec.ID] = f
	s.mu.Unlock()
	_ = d.Open() // what is wrong with it stands in its status, and Follow tries again
	g.pin(spec.ID, d)
	f.nudge() // a new point may have done so already
	go f.run(ctx)
	return nil
}

// run follows until it is cancelled.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	f.s.lowerPriority()
	wait := retryMin
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-again:
		}
		err := f.d.Follow(ctx, &volume{f: f})
		f.g.pin(f.d.Spec().ID, f.d)
		f.g.tell()
		f.s.queue.add(f.g) // points that the disk needed may be forgotten now
		again = nil
		switch {
		case ctx.Err() != nil:
			return
		case err == nil || errors.Is(err, disk.ErrConflict):
			wait = retryMin
		default:
			f.s.opt.Logger.Error("replica: disk does not follow", "again_in", wait, "err", err)
			again = time.After(wait)
			wait = min(2*wait, retryMax)
		}
	}
}

// wakeDisks tells the disks of a group that there is a newer point.
func (s *Set) wakeDisks(id ident.GroupID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.disks {
		if f.g.id != id {
			continue
		}
		f.nudge()
	}
}

// nudge has the follower look for a newer point; it never blocks.
func (f *follower) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// pin keeps the points that a disk needs.
func (g *group) pin(id ident.UUID, d *disk.Disk) {
	needs := d.Needs()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pins[id] = needs
}

func (g *group) unpin(id ident.UUID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pins, id)
}

// Disks returns the condition of every disk of this node, by ID.
func (s *Set) Disks() []DiskStatus {
	s.mu.Lock()
	list := make([]DiskStatus, 0, len(s.disks))
	for _, f := range s.disks {
		list = append(list, f.d.Status())
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b DiskStatus) int { return slices.Compare(a.Spec.ID[:], b.Spec.ID[:]) })
	return list
}

// VerifyDisk compares every block of a disk with the point that it shows, and its state hash with the commit's.
func (s *Set) VerifyDisk(ctx context.Context, id ident.UUID) (Report, error) {
	s.mu.Lock()
	f := s.disks[id]
	s.mu.Unlock()
	if f == nil {
		return Report{}, fmt.Errorf("%w: %s", ErrNoDisk, id)
	}
	return f.d.Verify(ctx, &volume{f: f})
}

// disksReached reports whether each of the disks is there and shows the point with the number or a later one.
func (s *Set) disksReached(disks []ident.UUID, number uint64) (bool, error) {
	list := make([]*follower, len(disks))
	s.mu.Lock()
	for i, id := range disks {
		list[i] = s.disks[id]
	}
	s.mu.Unlock()
	if slices.Contains(list, nil) {
		return false, nil
	}
	for _, f := range list {
		st := f.d.Status()
		if st.State == disk.Conflict {
			return false, st.Err
		}
		if (st.State != disk.Clean || st.Number < number) && f.follows() {
			return false, nil
		}
	}
	return true, nil
}

// follows reports whether the disk's volume is part of the group's newest point, and all of it. One that is not stays as
// it is.
func (f *follower) follows() bool {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	return f.g.newest != nil && f.g.newest.complete(f.d.Spec().Volume)
}

// volume is the history of a follower's volume, for package disk.
type volume struct{ f *follower }

var _ disk.Volume = (*volume)(nil)

func (v *volume) Newest(needs ...uint64) (disk.Content, error) {
	g := v.f.g
	g.mu.Lock()
	defer g.mu.Unlock()
	spec := v.f.d.Spec()
	if g.newest == nil || !g.newest.complete(spec.Volume) {
		return nil, nil
	}
	g.pins[spec.ID] = append(needs, g.newest.Number)
	return v.content(g.newest), nil
}

func (v *volume) content(h *held) *content {
	rec := h.Find(v.f.d.Spec().Volume)
	return &content{h: h, view: view{s: v.f.s, group: h.Group, volume: rec.Number, number: h.Number, size: rec.Size}}
}

func (v *volume) At(p ident.Point) (disk.Content, error) {
	rec, err := v.f.s.index.Lookup(p)
	if isNoPoint(err) {
		return nil, fmt.Errorf("%w: %w", disk.ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	h, err := newHeld(rec)
	if err != nil {
		return nil, err
	}
	if rec.Find(v.f.d.Spec().Volume) == nil {
		return nil, fmt.Errorf("%w: point %v does not have the volume", disk.ErrGone, p)
	}
	return v.content(h), nil
}

func (v *volume) Changed(from, to disk.Content, f func(first, count uint64) error) error {
	t := to.(*content)
	o, _ := from.(*content)
	if o == nil {
		return t.view.runs(f)
	}
	if o.view.volume != t.view.volume || o.view.number > t.view.number {
		return f(0, blockCount(max(o.view.size, t.view.size)))
	}
	slots, err := v.f.s.index.Changed(t.view.volume, o.view.number, t.view.number)
	if err != nil {
		return err
	}
	first, count := uint64(0), uint64(0)
	for it := slots.Iterator(); it.HasNext(); {
		slot := it.Next()
		if count > 0 && slot == first+count {
			count++
			continue
		}
		if count > 0 {
			if err := f(first*index.SlotBlocks, count*index.SlotBlocks); err != nil {
				return err
			}
		}
		first, count = slot, 1
	}
	if count == 0 {
		return nil
	}
	return f(first*index.SlotBlocks, count*index.SlotBlocks)
}

// content is a volume at one point, for package disk. The point is kept while the disk needs it.
type content struct {
	h    *held
	view view
}

func (c *content) Point() ident.Point { return c.h.Point.Point }

func (c *content) Number() uint64 { return c.h.Number }

func (c *content) Size() int64 { return c.view.size }

func (c *content) State() leaf.State {
	for i := range c.h.Volumes {
		if c.h.Volumes[i].Number == c.view.volume {
			return c.h.state(c.h.Volumes[i].ID).State
		}
	}
	return leaf.State{}
}

func (c *content) ReadAt(p []byte, off int64) error { return c.view.ReadAt(p, off) }

func (c *content) Blocks(first uint64, out []disk.BlockInfo) error {
	b := make([]index.Block, len(out))
	if err := c.view.leaves(first, b); err != nil {
		return err
	}
	for i := range b {
		out[i] = disk.BlockInfo{Leaf: b[i].Leaf, Class: b[i].Class}
	}
	return nil
}

// runs calls f with runs of blocks outside of which the volume is zero.
func (w *view) runs(f func(first, count uint64) error) error {
	r, err := w.s.index.NewReader()
	if err != nil {
		return err
	}
	var s index.Slot
	slot, ok, err := r.Next(w.volume, 0, w.number, &s)
	for ; ok && err == nil; slot, ok, err = r.Next(w.volume, slot+1, w.number, &s) {
		if s.Mask() != 0 {
			err = f(slot*index.SlotBlocks, index.SlotBlocks)
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, r.Close())
}
