package intercept

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
)

// errLeaf: a block of the base is not what was last written there.
var errLeaf = errors.New("content does not match its leaf")

// base is what a volume holds behind the log: a sparse raw file and the leaves of its blocks. The destager is its only
// writer. Reads may run beside it; they see either content of what is being written, and the caller covers that with
// the layer that is being destaged.
type base struct {
	number uint32
	id     ident.VolumeID
	file   vfs.File
	leaves *leaf.Table
	leafF  vfs.File
	path   string // of the image that was adopted; "": the file is the group's own

	// writing is held while blocks and their leaves change together. Who finds that the two differ looks again with it.
	writing sync.Mutex
	half    *half // guarded by writing; nil: every block has its leaf
}

const (
	basePrefix = "base-"
	rawSuffix  = ".raw"
	leafSuffix = ".leaf"
	newSuffix  = ".new" // of a file that is being made
)

func baseNames(dir string, id ident.VolumeID) (raw, leaves string) {
	stem := filepath.Join(dir, basePrefix+id.String())
	return stem + rawSuffix, stem + leafSuffix
}

// createBase makes the files of a new volume, all zero. Durable on return, names included.
func createBase(fs vfs.FS, dir string, number uint32, id ident.VolumeID, size int64) (*base, error) {
	raw, leaves := baseNames(dir, id)
	b, err := createFiles(fs, dir, raw, leaves, number, id, size, true)
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	return b, nil
}

// createFiles makes a sparse file of size bytes and its leaf table; zeroKnown as for leaf.CreateTable.
func createFiles(fs vfs.FS, dir, raw, leaves string, number uint32, id ident.VolumeID, size int64, zeroKnown bool) (*base, error) {
	f, err := fs.Create(raw)
	if err != nil {
		return nil, err
	}
	b := &base{number: number, id: id, file: f}
	if err = f.Truncate(size); err == nil {
		err = f.Datasync()
	}
	return b.addLeaves(fs, dir, raw, leaves, zeroKnown, err)
}

// addLeaves makes the leaf table of b, whose file, named raw, is there unless err says otherwise; without success nothing
// is left.
func (b *base) addLeaves(fs vfs.FS, dir, raw, leaves string, zeroKnown bool, err error) (*base, error) {
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err == nil {
		_ = fs.Remove(leaves + newSuffix) // left by a crash
		b.leafF, err = fs.Create(leaves + newSuffix)
	}
	if err == nil {
		b.leaves, err = leaf.CreateTable(b.leafF, zeroKnown)
	}
	if err == nil { // a leaf table under its name is complete, and so is the file beside it
		err = fs.Rename(leaves+newSuffix, leaves)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		b.close()
		_, _ = fs.Remove(raw), fs.Remove(leaves) // what stays is removed when the group is next opened
		return nil, err
	}
	return b, nil
}

// openBase opens the files of a volume.
func openBase(fs vfs.FS, dir string, number uint32, id ident.VolumeID) (*base, error) {
	raw, leaves := baseNames(dir, id)
	err := sameDevice(fs, raw, deviceName(dir, id))
	if err != nil {
		return nil, &DamageError{Path: raw, Err: err}
	}
	b, err := openFiles(fs, raw, leaves, number, id)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("image of a volume: %w: %w", ErrInUse, err)
	case err != nil:
		return nil, &DamageError{Path: raw, Err: err}
	}
	return b, nil
}

func openFiles(fs vfs.FS, raw, leaves string, number uint32, id ident.VolumeID) (*base, error) {
	f, err := fs.Open(leaves)
	if err != nil {
		return nil, err
	}
	b := &base{number: number, id: id, leafF: f}
	if b.leaves, err = leaf.OpenTable(f); err != nil {
		b.close()
		return nil, &DamageError{Path: leaves, Err: err}
	}
	if b.path, err = fs.LinkedTo(raw); err == nil && b.path != "" {
		b.file, err = fs.Claim(raw)
	} else if err == nil {
		b.file, err = fs.Open(raw)
	}
	if err != nil {
		b.close()
		if errors.Is(err, vfs.ErrLocked) {
			return nil, err
		}
		return nil, &DamageError{Path: raw, Err: err}
	}
	return b, nil
}

// grow makes the file at least size bytes long, durably.
func (b *base) grow(size int64) error {
	have, err := b.file.Size()
	if err == nil && have < size {
		if err = b.file.Truncate(size); err == nil {
			err = b.file.Datasync()
		}
	}
	if err != nil && b.path != "" {
		return fmt.Errorf("%s has %d bytes, %d are wanted; make it larger first: %w", b.path, have, size, err)
	}
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	return nil
}

func (b *base) close() {
	if b.file != nil {
		b.file.Close()
	}
	if b.leafF != nil {
		b.leafF.Close()
	}
}

// remove removes the files. What can not be removed is removed when the group is next opened.
func (b *base) remove(fs vfs.FS, dir string) {
	raw, leaves := baseNames(dir, b.id)
	_ = fs.Remove(raw)
	_ = fs.Remove(leaves)
	_ = fs.Remove(deviceName(dir, b.id))
}

// removeOrphans removes the files of volumes and shadows that are in no table: left by what a crash cut off.
func (g *Group) removeOrphans() error {
	names, err := g.opt.FS.List(g.dir)
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	keep := make(map[string]bool)
	for _, b := range g.volumes.bases {
		raw, leaves := baseNames(g.dir, b.id)
		keep[raw], keep[leaves], keep[deviceName(g.dir, b.id)] = true, true, true
	}
	g.syncing.files(g.dir, keep)
	for _, s := range *g.shadows.chain.Load() {
		for i := range s.table.volumes {
			raw, leaves := shadowNames(g.dir, s.id, s.table.volumes[i].ID)
			keep[raw], keep[leaves] = true, true
		}
	}
	for _, name := range names {
		path := filepath.Join(g.dir, name)
		if keep[path] || !ownName.MatchString(name) {
			continue
		}
		if err := g.opt.FS.Remove(path); err != nil {
			return fmt.Errorf("base: %w", err)
		}
	}
	return nil
}

// ownName are the names of files that the group makes for volumes.
var ownName = regexp.MustCompile(`^((base|shadow-[0-9]+)-` + uuidPattern + `\.(raw|leaf|leaf\.new|device)|todo-` + uuidPattern + `-[0-9]+\.map(\.new)?)$`)

const uuidPattern = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`

// baseScratch is what one read of the base needs beside the caller's slice.
type baseScratch struct {
	edge    []byte
	entries []leaf.Entry
}

var basePool = sync.Pool{New: func() any { return new(baseScratch) }}

// baseReadMax bounds what one call reads, and so the scratch that it keeps.
const baseReadMax = 1 << 20

// past is a point at which the base is read, though it may have gone on since.
type past struct {
	group *Group
	end   ident.Seq
}

// read fills p with the content at off and checks it. What the file does not have reads as zeroes. With at, blocks that
// changed since that point are taken from its shadows.
func (b *base) read(p []byte, off int64, at *past) error {
	for len(p) > 0 {
		n := int(min(int64(len(p)), baseReadMax-off%baseReadMax))
		err := b.readSome(p[:n], off, at, nil)
		if errors.Is(err, errLeaf) { // or it was being written
			b.writing.Lock()
			err = b.readSome(p[:n], off, at, b.half)
			b.writing.Unlock()
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readSome is read of a range within baseReadMax. With h, blocks that were half written when that failed are accepted if
// what is kept of them checks.
func (b *base) readSome(p []byte, off int64, at *past, h *half) error {
	sc := basePool.Get().(*baseScratch)
	defer basePool.Put(sc)
	first, end := off/leaf.BlockSize, (off+int64(len(p))+leaf.BlockSize-1)/leaf.BlockSize
	from, n := first*leaf.BlockSize, int((end-first)*leaf.BlockSize)
	data := p
	if from != off || n != len(p) {
		sc.edge = slices.Grow(sc.edge[:0], n)
		data = sc.edge[:n]
	}
	if err := readFull(b.file, data, from); err != nil {
		return fmt.Errorf("base at %d: %w", from, err)
	}
	sc.entries = slices.Grow(sc.entries[:0], int(end-first))[:end-first]
	if err := b.leaves.Load(sc.entries, first); err != nil {
		return err
	}
	var kept []bool
	// The base is read first: a block that is not in a shadow then was not overwritten when it was read.
	if at != nil && len(*at.group.shadows.chain.Load()) > 0 {
		kept = make([]bool, end-first)
		if err := at.group.readShadows(data, b.number, first, at.end, kept); err != nil {
			return err
		}
	}
	if err := b.check(data, sc.entries, first, kept, h); err != nil {
		return err
	}
	if n != len(p) {
		copy(p, data[off-from:])
	}
	return nil
}

// check compares whole blocks, the first of which is number first, with what the leaf table has, except those in skip.
func (b *base) check(data []byte, entries []leaf.Entry, first int64, skip []bool, h *half) error {
	for i := range entries {
		block := data[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
		if skip != nil && skip[i] || entries[i].Matches(leaf.Of(block)) || h.holds(first+int64(i), block, entries[i]) {
			continue
		}
		return &target.MediumError{Off: (first + int64(i)) * leaf.BlockSize, Len: leaf.BlockSize,
			Err: fmt.Errorf("%w (base of volume %s)", errLeaf, b.id)}
	}
	return nil
}

// readFull fills p from f at off, with zeroes behind the end of the file.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		clear(p[n:])
		return nil
	}
	return err
}
