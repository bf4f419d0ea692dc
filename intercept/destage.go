package intercept

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/wal"
)

const (
	destageStep      = 1 << 20 // bytes of a volume that one step covers
	destageWriteback = 8       // steps after which write-back of what they wrote is begun
)

// destager moves committed layers to the base, the oldest first.
func (g *Group) destager() {
	defer g.workers.Done()
	if !g.opt.foreground {
		lowerPriority()
	}
	d := &destager{group: g, buf: make([]byte, destageStep)}
	for {
		l := g.awaitDestage()
		if l == nil {
			return
		}
		if err := d.destage(l); err != nil {
			if g.log.Err() != nil || !g.pause(g.opt.retry) {
				return
			}
			g.opt.Logger.Warn("destage failed; trying again", "group", g.id, "reason", err)
		}
	}
}

// pause waits; false when the group is closed meanwhile.
func (g *Group) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.done:
		return false
	case <-t.C:
		return true
	}
}

// awaitDestage waits for the oldest layer to be complete and committed, and for every reader of an older state to be
// gone. nil: the group is closed or has failed.
func (g *Group) awaitDestage() *layer {
	for {
		g.stacks.Lock()
		changed := g.stacks.changed
		l := g.stacks.current.Load().layers[0]
		ready := l.complete.Load() && (l.end <= g.settledEnd() || !g.replicating.Load()) && !g.stacks.olderThanLocked(l.end)
		g.stacks.Unlock()
		if g.log.Err() != nil {
			return nil
		}
		if ready {
			return l
		}
		g.recycle()
		select {
		case <-g.done:
			return nil
		case <-changed:
		}
	}
}

// recycle frees the log segments that neither a recovery nor a reader needs.
func (g *Group) recycle() {
	g.durable.Lock()
	floor := g.durable.state.Start.Pos
	g.durable.Unlock()
	g.stacks.Lock()
	floor = min(floor, g.stacks.oldestPosLocked())
	g.stacks.Unlock()
	g.log.Free(g.log.Segment(floor))
}

// destager is the scratch of the goroutine that destages.
type destager struct {
	group *Group
	buf   []byte
}

// destage moves l, the oldest layer, to the base: content and leaves durable, then the checkpoint, then the layer is
// dropped. It may be repeated after a failure or a crash at any place.
func (d *destager) destage(l *layer) error {
	g := d.group
	if err := g.log.Sync(l.end); err != nil {
		return err
	}
	if l.end > g.settledEnd() && !g.diverged() {
		if err := g.update(func(s *checkpoint.State) { s.Diverged = true }); err != nil {
			return err
		}
	}
	l.destaging.Store(true)
	for i := range l.after.volumes {
		if err := d.volume(l, &l.after.volumes[i]); err != nil {
			return fmt.Errorf("volume %q: %w", l.after.volumes[i].Name, err)
		}
	}
	err := g.update(func(s *checkpoint.State) {
		s.Start.Pos, s.Start.Seq = l.endPos, l.end+1
		s.NextNumber, s.Volumes = l.after.next, slices.Clone(l.after.volumes)
		first := g.log.Segment(l.endPos)
		s.Start.Cuts = slices.DeleteFunc(s.Start.Cuts, func(c wal.Cut) bool { return c.Segment < first })
	})
	if err != nil {
		return err
	}
	g.stacks.drop(l)
	g.forgetDeleted(l.after)
	g.recycle()
	return nil
}

// forgetDeleted removes the files of volumes that are not in t, the table at the base, and are older than it.
func (g *Group) forgetDeleted(t *table) {
	g.volumes.RLock()
	var doomed []*base
	for number, b := range g.volumes.bases {
		if number < t.next && t.find(number) == nil {
			doomed = append(doomed, b)
		}
	}
	g.volumes.RUnlock()
	for _, b := range doomed {
		g.forget(b)
	}
}

// volume destages what l wrote to one volume; durable on return.
func (d *destager) volume(l *layer, info *checkpoint.Volume) error {
	b := d.group.base(info.Number)
	sealed := l.sealed(info.Number)
	if sealed.Len() == 0 {
		return nil
	}
	if err := b.grow(info.Size); err != nil {
		return err
	}
	steps, from := 0, int64(0)
	for w := range windows(sealed, info.Size) {
		if err := d.window(b, w); err != nil {
			return err
		}
		if steps++; steps%destageWriteback == 0 {
			b.file.StartWriteback(from, w.end-from)
			from = w.end
		}
		if d.group.log.Err() != nil {
			return d.group.log.Err()
		}
	}
	if err := b.file.Datasync(); err != nil {
		return d.failed(fmt.Errorf("base: %w", err))
	}
	if err := b.leaves.Sync(); err != nil {
		return d.failed(fmt.Errorf("leaf table: %w", err))
	}
	return nil
}

// failed latches the group: after a failed sync it is not known what the base holds.
func (d *destager) failed(err error) error {
	d.group.log.Fail(err)
	return err
}

// window is the part of a volume that one step covers: whole blocks, and what a layer wrote in them.
type window struct {
	off, end int64 // bytes, multiples of leaf.BlockSize
	entries  []extent.Entry
}

// windows cuts what m wrote below size into steps, in address order.
func windows(m *extent.Sealed, size int64) iter.Seq[window] {
	return func(yield func(window) bool) {
		for at := int64(0); at < size; {
			next, ok := m.Next(at)
			if !ok || next >= size {
				return
			}
			w := window{off: next / destageStep * destageStep}
			w.end = w.off + destageStep
			w.entries = m.Append(nil, w.off, min(w.end, size))
			if !yield(w) {
				return
			}
			at = w.end
		}
	}
}

// window writes one step: each run of touched blocks, then its leaves.
func (d *destager) window(b *base, w window) error {
	for i := 0; i < len(w.entries); {
		j := i + 1
		end := alignUp(w.entries[i].End())
		for j < len(w.entries) && w.entries[j].Off/leaf.BlockSize*leaf.BlockSize <= end {
			end = alignUp(w.entries[j].End())
			j++
		}
		off := w.entries[i].Off / leaf.BlockSize * leaf.BlockSize
		if err := d.run(b, off, end, w.entries[i:j]); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func alignUp(n int64) int64 { return (n + leaf.BlockSize - 1) / leaf.BlockSize * leaf.BlockSize }

// run writes the blocks [off, end), each of which entries touch.
func (d *destager) run(b *base, off, end int64, entries []extent.Entry) error {
	p := d.buf[:end-off]
	if err := d.fill(b, p, off, entries); err != nil {
		return err
	}
	var leaves [destageStep / leaf.BlockSize]leaf.Leaf
	n := len(p) / leaf.BlockSize
	zero := true
	for i := range n {
		leaves[i] = leaf.Of(p[i*leaf.BlockSize : (i+1)*leaf.BlockSize])
		zero = zero && leaves[i] == 0
	}
	if err := d.store(b, p, off, zero); err != nil {
		return fmt.Errorf("base at %d: %w", off, err)
	}
	return b.leaves.Store(leaves[:n], off/leaf.BlockSize)
}

// fill composes the new content of whole blocks: what entries say over what the base holds.
func (d *destager) fill(b *base, p []byte, off int64, entries []extent.Entry) error {
	at := off
	for _, e := range entries {
		if err := d.keep(b, p, off, at, e.Off); err != nil {
			return err
		}
		at = e.End()
		if err := d.group.readEntry(e, p[e.Off-off:at-off]); err != nil {
			return err
		}
	}
	return d.keep(b, p, off, at, off+int64(len(p)))
}

// keep fills p, which begins at off, with [at, end) of the base. The layer that is being destaged covers part of those
// blocks, so after a crash they may be half destaged; what is kept of them is not.
func (d *destager) keep(b *base, p []byte, off, at, end int64) error {
	if at >= end {
		return nil
	}
	st := d.group.stacks.pin()
	defer d.group.stacks.unpin(st)
	return b.read(p[at-off:end-off], at, st)
}

// store writes p, whole blocks, to the base at off; not beyond the end of the file.
func (d *destager) store(b *base, p []byte, off int64, zero bool) error {
	size, err := b.file.Size()
	if err != nil {
		return err
	}
	p = p[:min(int64(len(p)), size-off)]
	if zero {
		return b.file.Punch(off, int64(len(p)))
	}
	_, err = b.file.WriteAt(p, off)
	return err
}
