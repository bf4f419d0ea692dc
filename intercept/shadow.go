package intercept

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target"
)

// shadow keeps what the base held at one point, where the base has gone on since: of each block that changed, the old
// content and its leaf. The destager is the only one that adds to it.
type shadow struct {
	id       uint32
	end      ident.Seq // of the point
	name     string
	sealedAt time.Time
	table    *table // at the point

	mu    sync.Mutex
	files map[uint32]*base // by volume number; nil: looked for, not there
}

// shadows is the chain of shadows, in the order of their ends. The state at a point is, for each block, what the first
// shadow at or behind the point has, else what the base holds.
type shadows struct {
	sync.Mutex // guards changes, and orders them with those of the durable state
	chain      atomic.Pointer[[]*shadow]
}

// overflowAt and overflowTo say, in quarters of the log's budget, when epochs that are not committed are destaged, and
// until when.
const (
	overflowAt = 3
	overflowTo = 2
)

func shadowNames(dir string, shadow uint32, id ident.VolumeID) (raw, leaves string) {
	stem := filepath.Join(dir, fmt.Sprintf("%s%d-%s", shadowPrefix, shadow, id))
	return stem + rawSuffix, stem + leafSuffix
}

const shadowPrefix = "shadow-"

// openShadow returns a shadow as the checkpoint has it.
func openShadow(s *checkpoint.Shadow) *shadow {
	return &shadow{id: s.ID, end: s.End, name: s.Name, sealedAt: time.Unix(0, s.SealedAt),
		table: &table{next: s.NextNumber, volumes: s.Volumes}, files: make(map[uint32]*base)}
}

// file returns the files of one volume; nil when there are none and create is not asked for.
func (s *shadow) file(g *Group, info *checkpoint.Volume, create bool) (*base, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, looked := s.files[info.Number]
	if b != nil || looked && !create {
		return b, nil
	}
	raw, leaves := shadowNames(g.dir, s.id, info.ID)
	b, err := openFiles(g.opt.FS, raw, leaves, info.Number, info.ID)
	switch {
	case err == nil || errors.As(err, new(*DamageError)):
	case errors.Is(err, fs.ErrNotExist):
		b, err = nil, nil
	}
	if err == nil && b == nil && create {
		_, _ = g.opt.FS.Remove(raw), g.opt.FS.Remove(leaves)
		b, err = createFiles(g.opt.FS, g.dir, raw, leaves, info.Number, info.ID, info.Size, false)
	}
	if err != nil {
		return nil, fmt.Errorf("shadow %d: %w", s.id, err)
	}
	s.files[info.Number] = b
	return b, nil
}

// discard closes and removes the files of a shadow that nothing needs any more.
func (s *shadow) discard(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.files {
		if b != nil {
			b.close()
		}
	}
	for i := range s.table.volumes {
		raw, leaves := shadowNames(g.dir, s.id, s.table.volumes[i].ID)
		_, _ = g.opt.FS.Remove(raw), g.opt.FS.Remove(leaves) // what stays is removed when the group is next opened
	}
}

func (s *shadow) close() {
	for _, b := range s.files {
		if b != nil {
			b.close()
		}
	}
}

// addShadow makes a shadow for the state that the base holds now, durable in the checkpoint together with change.
func (g *Group) addShadow(s *shadow, change func(*checkpoint.State)) error {
	g.shadows.Lock()
	defer g.shadows.Unlock()
	err := g.update(func(st *checkpoint.State) {
		s.id = st.NextShadow
		st.NextShadow++
		st.Shadows = append(st.Shadows, checkpoint.Shadow{ID: s.id, End: s.end, Name: s.name,
			SealedAt: s.sealedAt.UnixNano(), NextNumber: s.table.next, Volumes: slices.Clone(s.table.volumes)})
		if change != nil {
			change(st)
		}
	})
	if err != nil {
		return err
	}
	chain := append(slices.Clone(*g.shadows.chain.Load()), s)
	g.shadows.chain.Store(&chain)
	return nil
}

// pruneShadows removes the shadows before the last commit that no view needs.
func (g *Group) pruneShadows() {
	g.shadows.Lock()
	defer g.shadows.Unlock()
	needed := g.settledEnd()
	g.stacks.Lock()
	for p := range g.stacks.views {
		needed = min(needed, p.end)
	}
	g.stacks.Unlock()
	chain := *g.shadows.chain.Load()
	keep := 0
	for keep < len(chain) && chain[keep].end < needed {
		keep++
	}
	rest := slices.Clone(chain[keep:])
	g.shadows.chain.Store(&rest)
	for _, s := range chain[:keep] {
		s.discard(g)
	}
}

// overflow reports whether epochs are destaged that are not committed.
func (g *Group) overflow() bool {
	if !g.replicating.Load() {
		return true
	}
	used, budget := g.log.Used()
	on := used >= budget/4*overflowAt || g.overflowing.Load() && used > budget/4*overflowTo
	if g.overflowing.Swap(on) != on && on {
		g.opt.Logger.Warn("write log runs full; epochs are destaged before they are committed", "group", g.id,
			"used", used, "budget", budget)
	}
	return on
}

// keptBeforeLocked returns the newest point before end whose state must stay readable; 0 is that of no writes, for
// which nothing needs to be kept. Called with the stacks locked.
func (g *Group) keptBeforeLocked(end ident.Seq) ident.Seq {
	var kept ident.Seq
	consider := func(seq ident.Seq) {
		if seq < end {
			kept = max(kept, seq)
		}
	}
	consider(g.settledEnd())
	consider(ident.Seq(g.sentEnd.Load()))
	for p := range g.stacks.views {
		consider(p.end)
	}
	for _, s := range *g.shadows.chain.Load() {
		consider(s.end)
	}
	return kept
}

// save makes what l changes survive for the points that need it, before l goes to the base. Durable on return.
func (d *destager) save(l *layer, kept ident.Seq) error {
	if kept == 0 {
		return nil
	}
	g := d.group
	chain := *g.shadows.chain.Load()
	if len(chain) == 0 || chain[len(chain)-1].end < kept {
		if kept != l.first-1 {
			return fmt.Errorf("the state at %d is gone, the base is at %d", kept, l.first-1)
		}
		if err := g.addShadow(&shadow{end: kept, table: l.before, files: make(map[uint32]*base)}, nil); err != nil {
			return err
		}
		chain = *g.shadows.chain.Load()
	}
	s := chain[len(chain)-1]
	for i := range s.table.volumes {
		info := &s.table.volumes[i]
		if l.sealed(info.Number).Len() == 0 {
			continue
		}
		if err := d.saveVolume(l, s, info); err != nil {
			return fmt.Errorf("volume %q: shadow %d: %w", info.Name, s.id, err)
		}
	}
	return nil
}

// saveBatch is how many blocks are saved between syncs.
const saveBatch = 4096

// saving is the blocks of one volume on their way into a shadow: their content is written, their entries are not.
type saving struct {
	from, to *base
	blocks   []int64
	leaves   []leaf.Leaf
}

// saveVolume saves the blocks of one volume that l touches and s does not have.
func (d *destager) saveVolume(l *layer, s *shadow, info *checkpoint.Volume) error {
	to, err := s.file(d.group, info, true)
	if err != nil {
		return err
	}
	sv := &saving{from: d.group.base(info.Number), to: to}
	next := int64(0)
	for e := range l.sealed(info.Number).All() {
		end := alignUp(min(e.End(), info.Size)) / leaf.BlockSize
		for next = max(next, e.Off/leaf.BlockSize); next < end; {
			n := min(end-next, destageStep/leaf.BlockSize)
			if err := d.saveBlocks(sv, next, n); err != nil {
				return err
			}
			next += n
		}
	}
	if err := sv.flush(); err != nil {
		return err
	}
	if err := to.leaves.Sync(); err != nil { // also of entries that a process which died has stored
		return &syncError{err}
	}
	return nil
}

// saveBlocks saves n blocks from first on, as far as they are not saved yet. What is not saved was never overwritten,
// so it must check; a damaged block is saved as one.
func (d *destager) saveBlocks(sv *saving, first, n int64) error {
	have := make([]leaf.Entry, 2*n)
	have, want := have[:n], have[n:]
	if err := errors.Join(sv.to.leaves.Load(have, first), sv.from.leaves.Load(want, first)); err != nil {
		return err
	}
	for i := range n {
		if have[i].Set() {
			continue
		}
		p := d.buf[:leaf.BlockSize]
		off := (first + i) * leaf.BlockSize
		if err := readFull(sv.from.file, p, off); err != nil {
			return fmt.Errorf("base at %d: %w", off, err)
		}
		l := leaf.Of(p)
		if !want[i].Matches(l) {
			l = leaf.Bad
		}
		if l != 0 {
			if _, err := sv.to.file.WriteAt(p, off); err != nil {
				return fmt.Errorf("at %d: %w", off, err)
			}
		}
		sv.blocks, sv.leaves = append(sv.blocks, first+i), append(sv.leaves, l)
	}
	if len(sv.blocks) >= saveBatch {
		return sv.flush()
	}
	return nil
}

// flush makes the blocks durable and stores their entries. The entries must be durable before the base changes.
func (sv *saving) flush() error {
	if len(sv.blocks) == 0 {
		return nil
	}
	if err := sv.to.file.Datasync(); err != nil {
		return &syncError{err}
	}
	for i := 0; i < len(sv.blocks); {
		j := i + 1
		for j < len(sv.blocks) && sv.blocks[j] == sv.blocks[j-1]+1 {
			j++
		}
		if err := sv.to.leaves.Store(sv.leaves[i:j], sv.blocks[i]); err != nil {
			return err
		}
		i = j
	}
	sv.blocks, sv.leaves = sv.blocks[:0], sv.leaves[:0]
	return nil
}

// syncError is a failed sync: what the file holds is not known any more.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// readShadows replaces the blocks in data, the first of which is number first, that a shadow at or behind end has, and
// sets their place in done.
func (g *Group) readShadows(data []byte, number uint32, first int64, end ident.Seq, done []bool) error {
	entries := make([]leaf.Entry, len(done))
	for _, s := range *g.shadows.chain.Load() {
		info := s.table.find(number)
		if s.end < end || info == nil {
			continue
		}
		b, err := s.file(g, info, false)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		if err := b.leaves.Load(entries, first); err != nil {
			return err
		}
		for i, e := range entries {
			if done[i] || !e.Set() {
				continue
			}
			off := (first + int64(i)) * leaf.BlockSize
			block := data[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
			if err := readFull(b.file, block, off); err != nil {
				return fmt.Errorf("shadow %d at %d: %w", s.id, off, err)
			}
			if !e.Matches(leaf.Of(block)) {
				return &target.MediumError{Off: off, Len: leaf.BlockSize, Err: fmt.Errorf("%w (shadow %d of volume %s)", errLeaf, s.id, b.id)}
			}
			done[i] = true
		}
	}
	return nil
}

// dirty calls fn for every block of a volume that may differ between the points that end at from and to, as far as the
// base has gone on from the first.
func (g *Group) dirty(info *checkpoint.Volume, from, to ident.Seq, fn func(block int64)) error {
	blocks := alignUp(info.Size) / leaf.BlockSize
	for _, s := range *g.shadows.chain.Load() {
		old := s.table.find(info.Number)
		if s.end < from || s.end >= to || old == nil {
			continue
		}
		b, err := s.file(g, old, false)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		err = b.leaves.Scan(blocks, func(index int64, _ leaf.Entry) bool {
			fn(index)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}
