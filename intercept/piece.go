package intercept

import (
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/todo"
)

// choosePieces decides what e takes along of volumes that the provider does not have in full: metadata of their file
// systems first, then the rest by address.
func (g *Group) choosePieces(e *Epoch) error {
	e.taken = g.opt.Now()
	g.syncing.Lock()
	left := min(max(g.syncing.budget, g.opt.pieceMin), g.opt.pieceMax)
	g.syncing.Unlock()
	for i := range e.after.volumes {
		info := &e.after.volumes[i]
		f := g.syncing.find(info.Number)
		if f == nil {
			continue
		}
		c := &chooser{group: g, base: g.base(info.Number), next: f.hidden.Clone(), left: left}
		if err := c.choose(f, e, info); err != nil {
			return fmt.Errorf("volume %q: %w", info.Name, err)
		}
		if e.pieces == nil {
			e.pieces = make(map[uint32]*piece)
		}
		e.pieces[info.Number] = &piece{sync: f, next: c.next, ranges: c.list.Sealed(), bytes: c.taken}
		left = c.left
	}
	return nil
}

// chooser picks a piece of one volume.
type chooser struct {
	group *Group
	base  *base
	next  *todo.Map
	list  extent.Blocks
	taken int64 // bytes
	left  int64 // that may be taken
	buf   []byte
}

func (c *chooser) choose(f *firstSync, e *Epoch, info *checkpoint.Volume) error {
	if f.layout == nil {
		m, err := classify.ReadMap(&view{pin: e.new, base: c.base, size: info.Size}, info.Size)
		if err != nil {
			return fmt.Errorf("layout: %w", err)
		}
		f.layout = m
		if v, err := c.group.Volume(info.Name); err == nil {
			v.tagger.Learn(m)
		}
	}
	if err := c.within(0, min(layoutHeadBytes, info.Size)); err != nil {
		return err
	}
	for at := int64(0); at < info.Size && c.left > 0; {
		kind, end := f.layout.RegionAt(at)
		end = min(end, info.Size)
		if kind.IsMetadata() {
			if err := c.within(at, end); err != nil {
				return err
			}
		}
		at = end
	}
	return c.within(0, info.Size)
}

// layoutHeadBytes is the start of a volume, which says what is on it.
const layoutHeadBytes = 1 << 20

// within takes what is to do of [off, end), as long as there is budget. Units are taken whole.
func (c *chooser) within(off, end int64) error {
	unit := c.next.Unit()
	for c.left > 0 {
		from, _, ok := c.next.Next(off, end)
		if !ok {
			return nil
		}
		from = from / unit * unit
		n, err := c.learn(from, unit)
		if err != nil {
			return err
		}
		tag := uint8(classify.MakeTag(classify.LargeData, classify.Unknown, false))
		c.list.Add(from, n, tag)
		c.next.Done(from)
		c.taken, c.left = c.taken+n, c.left-n
		off = from + unit
	}
	return nil
}

// learn notes the leaves of a unit's blocks that are not known yet, and returns how many bytes it has.
func (c *chooser) learn(off, unit int64) (int64, error) {
	_, end, _ := c.next.Next(off, off+unit)
	first, count := off/leaf.BlockSize, alignUp(end-off)/leaf.BlockSize
	if c.buf == nil {
		c.buf = make([]byte, unit)
	}
	return end - off, c.base.learn(c.buf[:count*leaf.BlockSize], first)
}

// learn reads the blocks that p has room for, the first of which is number first, and stores the leaves of those that
// have none.
func (b *base) learn(p []byte, first int64) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := readFull(b.file, p, first*leaf.BlockSize); err != nil {
		return fmt.Errorf("base at %d: %w", first*leaf.BlockSize, err)
	}
	entries := make([]leaf.Entry, len(p)/leaf.BlockSize)
	if err := b.leaves.Load(entries, first); err != nil {
		return err
	}
	var run []leaf.Leaf // of blocks that follow each other, the last of which is the one before i
	for i := 0; i <= len(entries); i++ {
		if i < len(entries) && !entries[i].Known {
			run = append(run, leaf.Of(p[i*leaf.BlockSize:(i+1)*leaf.BlockSize]))
			continue
		}
		if len(run) == 0 {
			continue
		}
		if err := b.leaves.Store(run, first+int64(i-len(run))); err != nil {
			return err
		}
		run = run[:0]
	}
	return nil
}

// visible returns what of list is not hidden.
func visible(list []Extent, hidden *todo.Map) []Extent {
	if hidden.Bytes() == 0 {
		return list
	}
	var out []Extent
	for _, x := range list {
		at, end := x.Off, x.Off+x.Len
		keep := func(to int64) {
			if at < to {
				out = append(out, Extent{Off: at, Len: to - at, Zero: x.Zero, Tag: x.Tag})
			}
		}
		hidden.Within(at, end, func(from, to int64) bool {
			keep(from)
			at = to
			return true
		})
		keep(end)
	}
	return out
}
