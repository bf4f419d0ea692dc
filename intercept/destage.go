package intercept

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

const (
	destageStep      = 1 << 20 // bytes of a volume that one step covers
	destageWriteback = 8       // steps after which write-back of what they wrote is begun
	shadowsReserved  = 3       // shadows that named points leave for the last commit and the epoch being sent
)

// destager moves committed layers to the base, the oldest first.
func (g *Group) destager() {
	defer g.workers.Done()
	if !g.opt.foreground {
		lowerPriority()
	}
	d := &destager{group: g, buf: make([]byte, destageStep), leaves: make([]leaf.Leaf, destageStep/leaf.BlockSize)}
	for {
		l, kept := g.awaitDestage()
		if l == nil {
			return
		}
		err := d.destage(l, kept)
		news := g.space.note(err)
		switch {
		case err != nil && news:
			g.opt.Logger.Error("no room on the disk for what hosts wrote; it is tried again until there is", "group", g.id, "reason", err)
		case err != nil && !vfs.IsNoSpace(err):
			g.opt.Logger.Warn("destage failed; trying again", "group", g.id, "reason", err)
		case err == nil && news:
			g.opt.Logger.Info("there is room on the disk again", "group", g.id)
		}
		if err != nil && (g.log.Err() != nil || !g.pause(g.opt.retry)) {
			return
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

// awaitDestage waits for the oldest layer to be complete, and committed unless the log overflows, and for every reader
// of an older state to be gone. kept is the point before it whose state must stay readable beside it, 0 if there is
// none. nil: the group is closed or has failed.
func (g *Group) awaitDestage() (l *layer, kept ident.Seq) {
	for {
		g.stacks.Lock()
		changed := g.stacks.changed
		g.stacks.Unlock()
		overflow := g.overflow()
		var again <-chan time.Time
		if g.yields() {
			again = time.After(paceTick)
		} else {
			l, kept = g.destageable(overflow)
		}
		if g.log.Err() != nil || g.closing() { // what waits is as safe in the log
			return nil, 0
		}
		if l != nil {
			return l, kept
		}
		g.recycle()
		select {
		case <-g.done:
			return nil, 0
		case <-changed:
		case <-again:
		}
	}
}

// closing reports whether Close has been called.
func (g *Group) closing() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// destageable returns the oldest layer if it may be destaged now, and takes it out of the reach of merging.
func (g *Group) destageable(overflow bool) (l *layer, kept ident.Seq) {
	g.stacks.Lock()
	defer g.stacks.Unlock()
	l = g.stacks.current.Load().layers[0]
	committed := l.end <= g.settledEnd()
	if !l.complete.Load() || !committed && !overflow || g.stacks.olderThanLocked(l.end, !committed) {
		return nil, 0
	}
	l.busy = true
	if !committed {
		kept = g.keptBeforeLocked(l.end)
	}
	return l, kept
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
	group   *Group
	buf     []byte      // one step
	touched []blockRun  // of the window being written
	leaves  []leaf.Leaf // of the blocks of one step
	entries []leaf.Entry
	bad     []int64 // damaged blocks of the run being composed
	redo    redo    // what the layer that is being destaged makes of blocks that it overwrites in part
	halves  []*half
}

// blockRun is the blocks [from, to) of a window.
type blockRun struct{ from, to int64 }

// destage moves l, the oldest layer, to the base: what it changes of the point kept is saved; content and leaves
// durable, then the checkpoint, then the layer is dropped. It may be repeated after a failure or a crash at any place.
func (d *destager) destage(l *layer, kept ident.Seq) error {
	g := d.group
	if err := g.log.Sync(l.end); err != nil {
		return err
	}
	if err := d.save(l, kept); err != nil {
		return d.failed(err)
	}
	if d.redo.end == l.end { // an earlier try came to an end somewhere
		if err := d.failed(g.settleRedo(&d.redo, []*layer{l})); err != nil {
			return err
		}
	}
	if err := d.intend(l); err != nil {
		return err
	}
	for i := range l.after.volumes {
		if err := d.volume(l, &l.after.volumes[i]); err != nil {
			return fmt.Errorf("volume %q: %w", l.after.volumes[i].Name, err)
		}
	}
	if err := g.moveStart(l); err != nil {
		return err
	}
	for _, h := range d.halves {
		g.base(h.number).setHalf(nil)
	}
	g.stacks.drop(l)
	g.pruneShadows()
	g.forgetDeleted(l.after)
	g.recycle()
	return nil
}

// moveStart records that the base holds l; durable on return. A named point that no commit names yet gets a shadow with
// it, so that it can still be one.
func (g *Group) moveStart(l *layer) error {
	change := func(s *checkpoint.State) {
		s.Start.Pos, s.Start.Seq = l.endPos, l.end+1
		s.NextNumber, s.Volumes = l.after.next, slices.Clone(l.after.volumes)
		first := g.log.Segment(l.endPos)
		s.Start.Cuts = slices.DeleteFunc(s.Start.Cuts, func(c wal.Cut) bool { return c.Segment < first })
	}
	if l.name == "" || l.end <= g.settledEnd() {
		return g.update(change)
	}
	if len(*g.shadows.chain.Load()) >= checkpoint.ShadowsMax-shadowsReserved {
		g.opt.Logger.Warn("too many named points wait; one is given up", "group", g.id, "name", l.name)
		return g.update(change)
	}
	return g.addShadow(&shadow{end: l.end, name: l.name, sealedAt: l.sealedAt, table: l.after, files: make(map[uint32]*base)},
		change)
}

// forgetDeleted removes the files of volumes that are not in t, the table at the base, and are older than it.
func (g *Group) forgetDeleted(t *table) {
	g.volumes.RLock()
	var doomed []*base
	for number, b := range g.volumes.bases {
		if number < t.next && t.find(number) == nil && !g.keptVolume(number) {
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
		if err := d.window(b, w, info.Size); err != nil {
			return err
		}
		if steps++; steps%destageWriteback == 0 {
			b.file.StartWriteback(from, w.end-from)
			from = w.end
		}
		d.group.breathe()
		if d.group.log.Err() != nil {
			return d.group.log.Err()
		}
	}
	if err := b.file.Datasync(); err != nil {
		return d.failed(&syncError{fmt.Errorf("base: %w", err)})
	}
	if err := b.leaves.Sync(); err != nil {
		return d.failed(&syncError{fmt.Errorf("leaf table: %w", err)})
	}
	return nil
}

// failed returns err; a failed sync latches the group: it is not known what the file holds then.
func (d *destager) failed(err error) error {
	var s *syncError
	if errors.As(err, &s) {
		d.group.log.Fail(err)
	}
	return err
}

// keptVolume reports whether a point that must stay readable has the volume.
func (g *Group) keptVolume(number uint32) bool {
	for _, s := range *g.shadows.chain.Load() {
		if s.table.find(number) != nil {
			return true
		}
	}
	g.stacks.Lock()
	defer g.stacks.Unlock()
	for p := range g.stacks.views {
		if p.table.find(number) != nil {
			return true
		}
	}
	return false
}

// window is the part of a volume that one step covers: whole blocks, and what a layer wrote in them.
type window struct {
	off, end int64 // bytes, multiples of leaf.BlockSize
	entries  []extent.Entry
	zero     bool // one entry makes all of it zero; it may be longer than a step
}

// windows cuts what m wrote below size into steps, in address order.
func windows(m *extent.Sealed, size int64) iter.Seq[window] {
	return func(yield func(window) bool) {
		var scratch []extent.Entry
		for at := int64(0); at < size; {
			next, ok := m.Next(at)
			if !ok || next >= size {
				return
			}
			w := window{off: max(at, next/leaf.BlockSize*leaf.BlockSize)}
			w.end = (w.off/destageStep + 1) * destageStep
			w.entries = m.Append(scratch[:0], w.off, min(w.end, size))
			scratch = w.entries
			if end, ok := m.ZeroUntil(w.off); ok && end/leaf.BlockSize*leaf.BlockSize > w.end {
				w.zero, w.end = true, end/leaf.BlockSize*leaf.BlockSize
			}
			if !yield(w) {
				return
			}
			at = w.end
		}
	}
}

// window writes one step: each run of touched blocks, then the leaves of all.
func (d *destager) window(b *base, w window, size int64) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if w.zero {
		if err := b.file.Punch(w.off, min(w.end, size)-w.off); err != nil {
			return fmt.Errorf("base at %d: %w", w.off, err)
		}
		return b.leaves.StoreZero(w.off/leaf.BlockSize, (w.end-w.off)/leaf.BlockSize)
	}
	first := w.off / leaf.BlockSize
	d.touched = d.touched[:0]
	for i := 0; i < len(w.entries); {
		off, end := w.entries[i].Off/leaf.BlockSize*leaf.BlockSize, alignUp(w.entries[i].End())
		j := i + 1
		for ; j < len(w.entries) && w.entries[j].Off < end+leaf.BlockSize && w.entries[j].Off/leaf.BlockSize*leaf.BlockSize <= end; j++ {
			end = alignUp(w.entries[j].End())
		}
		if err := d.run(b, off, end, size, w.entries[i:j]); err != nil {
			return err
		}
		d.touched = append(d.touched, blockRun{off/leaf.BlockSize - first, end/leaf.BlockSize - first})
		i = j
	}
	return d.storeLeaves(b, first)
}

func alignUp(n int64) int64 { return (n + leaf.BlockSize - 1) / leaf.BlockSize * leaf.BlockSize }

// run writes the blocks [off, end), each of which entries touch, and notes their leaves.
func (d *destager) run(b *base, off, end, size int64, entries []extent.Entry) error {
	at := off % destageStep
	p := d.buf[at : at+end-off]
	if err := d.fill(b, p, off, entries); err != nil {
		return err
	}
	zero := true
	leaves := d.leaves[at/leaf.BlockSize:]
	for i := range len(p) / leaf.BlockSize {
		leaves[i] = leaf.Of(p[i*leaf.BlockSize : (i+1)*leaf.BlockSize])
		zero = zero && leaves[i] == 0
	}
	for _, block := range d.bad {
		leaves[block-off/leaf.BlockSize] = leaf.Bad
	}
	p = p[:min(int64(len(p)), size-off)]
	var err error
	if zero {
		err = b.file.Punch(off, int64(len(p)))
	} else {
		_, err = b.file.WriteAt(p, off)
	}
	if err != nil {
		return fmt.Errorf("base at %d: %w", off, err)
	}
	return nil
}

// storeLeaves stores the leaves of the runs that were touched, in a window whose first block is first.
func (d *destager) storeLeaves(b *base, first int64) error {
	shift := first % int64(len(d.leaves))
	for _, r := range d.touched {
		if err := b.leaves.Store(d.leaves[shift+r.from:shift+r.to], first+r.from); err != nil {
			return err
		}
	}
	return nil
}

// fill composes the new content of whole blocks: what entries say over what the base holds.
func (d *destager) fill(b *base, p []byte, off int64, entries []extent.Entry) error {
	d.bad = d.bad[:0]
	at, next := off, off
	for i := 0; i <= len(entries); i++ {
		gap := off + int64(len(p))
		if i < len(entries) {
			gap = entries[i].Off
		}
		if at < gap { // blocks that are not wholly covered; no two entries are in the way of reading them first
			from := max(next, at/leaf.BlockSize*leaf.BlockSize)
			next = alignUp(gap)
			if err := d.keep(b, p[from-off:next-off], from); err != nil {
				return err
			}
		}
		if i < len(entries) {
			at = entries[i].End()
		}
	}
	for _, e := range entries {
		if err := d.group.readEntry(e, p[e.Off-off:e.End()-off]); err != nil {
			return err
		}
	}
	return nil
}

// keep fills p with whole blocks of the base from off on, and notes in bad those that are damaged.
func (d *destager) keep(b *base, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if err := readFull(b.file, p, off); err != nil {
		return fmt.Errorf("base at %d: %w", off, err)
	}
	first := off / leaf.BlockSize
	d.entries = slices.Grow(d.entries[:0], len(p)/leaf.BlockSize)[:len(p)/leaf.BlockSize]
	if err := b.leaves.Load(d.entries, first); err != nil {
		return err
	}
	for i, e := range d.entries {
		if e.Matches(leaf.Of(p[i*leaf.BlockSize : (i+1)*leaf.BlockSize])) {
			continue
		}
		d.bad = append(d.bad, first+int64(i))
		d.group.opt.Logger.Error("damaged block of the base is partly overwritten; it stays unreadable until all of it is",
			"group", d.group.id, "volume", b.id, "offset", (first+int64(i))*leaf.BlockSize)
	}
	return nil
}
