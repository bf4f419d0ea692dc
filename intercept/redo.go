package intercept

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

// A block that an epoch overwrites in part keeps bytes of the base. While it is being written its leaf says nothing: a
// crash may leave the old content, the new, or sectors of both. So before an epoch's first write to the base, the leaves
// that such blocks are going to have are made durable in the file redo. After a crash a block must have the old leaf, or
// the new one once the epoch's records are applied to it again; anything else is damage, which would otherwise become
// part of the new content. The file also says which epochs were destaged as one: blocks that only all of them together
// overwrite wholly may hold anything until that is done again.

// redo is what is going to become of the blocks that are overwritten in part.
type redo struct {
	end    ident.Seq // of the layer
	blocks []redoBlock
}

// redoBlock is one of them.
type redoBlock struct {
	number uint32 // of the volume
	block  int64
	leaf   leaf.Leaf // leaf.Bad: it was damaged before
}

// Layout of the file: a header, then one entry for each block, little-endian.
const (
	redoName        = "redo"
	redoMagic       = "WEIRREDO"
	redoVersion     = 1
	redoHeaderBytes = 64
	redoEntryBytes  = 24

	offRedoVersion = 8
	offRedoCRC     = 12 // CRC-32C of everything, this field taken as 0
	offRedoEnd     = 16
	offRedoCount   = 24
)

// errRedo: the file is not whole. It is written before the base is, so nothing has to be done again.
var errRedo = errors.New("not a whole redo file")

func (r *redo) encode() []byte {
	b := make([]byte, redoHeaderBytes, redoHeaderBytes+len(r.blocks)*redoEntryBytes)
	le := binary.LittleEndian
	copy(b, redoMagic)
	le.PutUint32(b[offRedoVersion:], redoVersion)
	le.PutUint64(b[offRedoEnd:], uint64(r.end))
	le.PutUint64(b[offRedoCount:], uint64(len(r.blocks)))
	for _, x := range r.blocks {
		b = le.AppendUint64(b, uint64(x.number))
		b = le.AppendUint64(b, uint64(x.block))
		b = le.AppendUint64(b, uint64(x.leaf))
	}
	le.PutUint32(b[offRedoCRC:], redoCRC(b))
	return b
}

func redoCRC(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(crc32.Checksum(b[:offRedoCRC], table), table, []byte{0, 0, 0, 0})
	return crc32.Update(c, table, b[offRedoCRC+4:])
}

// decodeRedo reads what encode wrote; bytes behind it are left from longer ones.
func decodeRedo(b []byte) (*redo, error) {
	le := binary.LittleEndian
	if len(b) < redoHeaderBytes || string(b[:len(redoMagic)]) != redoMagic {
		return nil, errRedo
	}
	if v := le.Uint32(b[offRedoVersion:]); v > redoVersion {
		return nil, fmt.Errorf("%w: redo format %d, this one knows %d", wal.ErrVersion, v, redoVersion)
	}
	n := le.Uint64(b[offRedoCount:])
	if n > uint64(len(b)-redoHeaderBytes)/redoEntryBytes {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", errRedo, n, len(b))
	}
	b = b[:redoHeaderBytes+int(n)*redoEntryBytes]
	if want, got := le.Uint32(b[offRedoCRC:]), redoCRC(b); want != got {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x", errRedo, got, want)
	}
	r := &redo{end: ident.Seq(le.Uint64(b[offRedoEnd:]))}
	for at := redoHeaderBytes; at < len(b); at += redoEntryBytes {
		r.blocks = append(r.blocks, redoBlock{number: uint32(le.Uint64(b[at:])), block: int64(le.Uint64(b[at+8:])),
			leaf: leaf.Leaf(le.Uint64(b[at+16:]))})
	}
	return r, nil
}

// half is what of a volume is being written. The parts that an epoch overwrites are read from the log, so that only the
// rest of such a block must check.
type half struct {
	group  *Group
	number uint32
	layer  *layer
	blocks []redoBlock // in order
}

// holds reports whether data, the content of a block whose leaf is not e's, is one that is being written, of which all
// that is kept is right. h may be nil.
func (h *half) holds(block int64, data []byte, e leaf.Entry) bool {
	if h == nil || e.Bad() {
		return false
	}
	i, ok := slices.BinarySearchFunc(h.blocks, block, func(x redoBlock, block int64) int { return cmp.Compare(x.block, block) })
	if !ok {
		return false
	}
	p := slices.Clone(data)
	off := block * leaf.BlockSize
	for _, e := range h.layer.sealed(h.number).Append(nil, off, off+leaf.BlockSize) {
		if h.group.readEntry(e, p[e.Off-off:e.End()-off]) != nil {
			return false
		}
	}
	return leaf.Of(p) == h.blocks[i].leaf
}

// intend finds the blocks that l overwrites in part and makes what they are going to be durable.
func (d *destager) intend(l *layer) error {
	d.redo, d.halves = redo{end: l.end}, nil
	for i := range l.after.volumes {
		info := &l.after.volumes[i]
		b, sealed := d.group.base(info.Number), l.sealed(info.Number)
		from := len(d.redo.blocks)
		var err error
		partly(sealed, info.Size, func(block int64) bool {
			off := block * leaf.BlockSize
			p := d.buf[:leaf.BlockSize]
			entries := sealed.Append(nil, off, min(off+leaf.BlockSize, info.Size))
			if err = d.fill(b, p, off, entries); err != nil {
				return false
			}
			x := redoBlock{number: info.Number, block: block, leaf: leaf.Of(p)}
			if len(d.bad) > 0 {
				x.leaf = leaf.Bad
			}
			d.redo.blocks = append(d.redo.blocks, x)
			return true
		})
		if err != nil {
			return fmt.Errorf("volume %q: %w", info.Name, err)
		}
		if n := len(d.redo.blocks); n > from {
			d.halves = append(d.halves, &half{group: d.group, number: info.Number, layer: l, blocks: d.redo.blocks[from:n:n]})
		}
	}
	if len(d.redo.blocks) == 0 && !l.merged {
		return nil
	}
	for _, h := range d.halves {
		d.group.base(h.number).setHalf(h)
	}
	return d.failed(d.group.storeRedo(&d.redo))
}

// partly calls fn for each block below size of which m holds a part but not all, in order, until fn returns false.
func partly(m *extent.Sealed, size int64, fn func(block int64) bool) {
	last, covered := int64(-1), int64(0) // of block last
	flush := func() bool {
		whole := min(leaf.BlockSize, size-last*leaf.BlockSize)
		return last < 0 || covered >= whole || fn(last)
	}
	for e := range m.All() {
		for at, end := e.Off, min(e.End(), size); at < end; {
			block := at / leaf.BlockSize
			if at%leaf.BlockSize == 0 && end-at >= 2*leaf.BlockSize { // in the middle of a long entry
				if !flush() {
					return
				}
				last, covered = (end-leaf.BlockSize)/leaf.BlockSize, leaf.BlockSize
				if at = end / leaf.BlockSize * leaf.BlockSize; at == end {
					continue
				}
				block = at / leaf.BlockSize
			}
			if block != last {
				if !flush() {
					return
				}
				last, covered = block, 0
			}
			n := min(end, (block+1)*leaf.BlockSize) - at
			covered += n
			at += n
		}
	}
	flush()
}

// setHalf says what is being written; nil: nothing.
func (b *base) setHalf(h *half) {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.half = h
}

// redoSlots are the two files that take turns, so that what was true before survives a crash while one is written.
type redoSlots struct {
	files [2]vfs.File // nil: not made yet
	last  int         // the one that was written last
}

func (s *redoSlots) close() {
	for _, f := range s.files {
		if f != nil {
			f.Close()
		}
	}
}

func redoPath(dir string, slot int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d", redoName, slot))
}

// storeRedo writes r over the older of the two files; durable on return.
func (g *Group) storeRedo(r *redo) error {
	slot := 1 - g.redo.last
	f := g.redo.files[slot]
	if f == nil {
		var err error
		if f, err = g.opt.FS.Create(redoPath(g.dir, slot)); err == nil {
			g.redo.files[slot] = f
			err = g.opt.FS.SyncDir(g.dir)
		}
		if err != nil {
			return fmt.Errorf("redo file: %w", err)
		}
	}
	if _, err := f.WriteAt(r.encode(), 0); err != nil {
		return fmt.Errorf("redo file: %w", err)
	}
	if err := f.Datasync(); err != nil {
		return &syncError{fmt.Errorf("redo file: %w", err)}
	}
	g.redo.last = slot
	return nil
}

// loadRedo returns what the last process was about; nil if nothing is left of that.
func (g *Group) loadRedo() (*redo, error) {
	var newest *redo
	for slot := range g.redo.files {
		name := redoPath(g.dir, slot)
		f, err := g.opt.FS.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("redo file: %w", err)
		}
		g.redo.files[slot] = f
		r, err := readRedo(f)
		switch {
		case errors.Is(err, errRedo):
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, err)
		case newest == nil || r.end > newest.end:
			newest, g.redo.last = r, slot
		}
	}
	return newest, nil
}

func readRedo(f vfs.File) (*redo, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if err := readFull(f, b, 0); err != nil {
		return nil, err
	}
	return decodeRedo(b)
}

// of returns those of layers that r is about; none: they reached the checkpoint.
func (r *redo) of(layers []*layer) []*layer {
	n := 0
	for n < len(layers) && layers[n].end != 0 && layers[n].end <= r.end {
		n++
	}
	return layers[:n]
}

// settleRedo brings every block of r that is neither old nor new to what it was to become, by the records of layers up
// to r.end, and marks those as damaged that do not get there. Durable on return.
func (g *Group) settleRedo(r *redo, layers []*layer) error {
	run := r.of(layers)
	changed := make(map[uint32]bool)
	for _, x := range r.blocks {
		if len(run) == 0 {
			break
		}
		b := g.base(x.number)
		if b == nil {
			continue
		}
		did, err := g.settleBlock(b, x, run)
		if err != nil {
			return err
		}
		if did {
			changed[x.number] = true
		}
	}
	for number := range changed {
		if err := g.base(number).leaves.Sync(); err != nil {
			return &syncError{err}
		}
	}
	return nil
}

// settleBlock settles one block, and reports whether it had to.
func (g *Group) settleBlock(b *base, x redoBlock, run []*layer) (bool, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	off := x.block * leaf.BlockSize
	p := make([]byte, leaf.BlockSize)
	if err := readFull(b.file, p, off); err != nil {
		return false, fmt.Errorf("base at %d: %w", off, err)
	}
	var entry [1]leaf.Entry
	if err := b.leaves.Load(entry[:], x.block); err != nil {
		return false, err
	}
	if entry[0].Bad() || entry[0].Matches(leaf.Of(p)) {
		return false, nil
	}
	end := off
	for _, l := range run {
		for _, e := range l.sealed(x.number).Append(nil, off, off+leaf.BlockSize) {
			if err := g.readEntry(e, p[e.Off-off:e.End()-off]); err != nil {
				return false, err
			}
			end = max(end, e.End())
		}
	}
	after := leaf.Of(p)
	if after != x.leaf {
		g.opt.Logger.Error("a block of the base that was being written is neither old nor new; it stays unreadable until all of it is written",
			"group", g.id, "volume", b.id, "offset", off)
		after = leaf.Bad
	} else if err := b.redoWrite(p[:end-off], off); err != nil {
		return false, err
	}
	return true, b.leaves.Store([]leaf.Leaf{after}, x.block)
}

// redoWrite writes the head of a block, up to the last byte that is new; durable on return.
func (b *base) redoWrite(p []byte, off int64) error {
	if _, err := b.file.WriteAt(p, off); err != nil {
		return fmt.Errorf("base at %d: %w", off, err)
	}
	if err := b.file.Datasync(); err != nil {
		return &syncError{fmt.Errorf("base: %w", err)}
	}
	return nil
}
