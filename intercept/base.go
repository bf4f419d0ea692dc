package intercept

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
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
}

const (
	basePrefix = "base-"
	rawSuffix  = ".raw"
	leafSuffix = ".leaf"
)

func baseNames(dir string, id ident.VolumeID) (raw, leaves string) {
	stem := filepath.Join(dir, basePrefix+id.String())
	return stem + rawSuffix, stem + leafSuffix
}

// createBase makes the files of a new volume, all zero. Durable on return, names included.
func createBase(fs vfs.FS, dir string, number uint32, id ident.VolumeID, size int64) (*base, error) {
	raw, leaves := baseNames(dir, id)
	f, err := fs.Create(raw)
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	b := &base{number: number, id: id, file: f}
	if err = f.Truncate(size); err == nil {
		err = f.Datasync()
	}
	if err == nil {
		b.leafF, err = fs.Create(leaves)
	}
	if err == nil {
		b.leaves, err = leaf.CreateTable(b.leafF, true)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		b.close()
		b.remove(fs, dir)
		return nil, fmt.Errorf("base: %w", err)
	}
	return b, nil
}

// openBase opens the files of a volume.
func openBase(fs vfs.FS, dir string, number uint32, id ident.VolumeID) (*base, error) {
	raw, leaves := baseNames(dir, id)
	f, err := fs.Open(raw)
	if err != nil {
		return nil, &DamageError{Path: raw, Err: err}
	}
	b := &base{number: number, id: id, file: f}
	if b.leafF, err = fs.Open(leaves); err == nil {
		b.leaves, err = leaf.OpenTable(b.leafF)
	}
	if err != nil {
		b.close()
		return nil, &DamageError{Path: leaves, Err: err}
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
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	return nil
}

func (b *base) close() {
	b.file.Close()
	if b.leafF != nil {
		b.leafF.Close()
	}
}

// remove removes the files. What can not be removed is removed when the group is next opened.
func (b *base) remove(fs vfs.FS, dir string) {
	raw, leaves := baseNames(dir, b.id)
	_ = fs.Remove(raw)
	_ = fs.Remove(leaves)
}

// removeOrphans removes the files of volumes that are in no table: left by a creation or deletion that a crash ended.
func removeOrphans(fs vfs.FS, dir string, known map[uint32]*base) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("base: %w", err)
	}
	keep := make(map[string]bool)
	for _, b := range known {
		keep[b.id.String()] = true
	}
	for _, name := range names {
		stem, ok := strings.CutPrefix(name, basePrefix)
		id := strings.TrimSuffix(strings.TrimSuffix(stem, rawSuffix), leafSuffix)
		if _, err := ident.ParseUUID(id); !ok || err != nil || keep[id] {
			continue
		}
		if err := fs.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("base: %w", err)
		}
	}
	return nil
}

// baseScratch is what one read of the base needs beside the caller's slice.
type baseScratch struct {
	edge    []byte
	entries []leaf.Entry
}

var basePool = sync.Pool{New: func() any { return new(baseScratch) }}

// baseReadMax bounds what one call reads, and so the scratch that it keeps.
const baseReadMax = 1 << 20

// read fills p with the content at off and checks it. What the file does not have reads as zeroes. A
// block that does not check is returned as it is when it may be half destaged, which st, the reader's stack, knows.
func (b *base) read(p []byte, off int64, st *stack) error {
	for len(p) > 0 {
		n := int(min(int64(len(p)), baseReadMax-off%baseReadMax))
		if err := b.readSome(p[:n], off, st); err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (b *base) readSome(p []byte, off int64, st *stack) error {
	sc := basePool.Get().(*baseScratch)
	defer basePool.Put(sc)
	first, end := off/leaf.BlockSize, (off+int64(len(p))+leaf.BlockSize-1)/leaf.BlockSize
	from, n := first*leaf.BlockSize, int((end-first)*leaf.BlockSize)
	data := p
	if from != off || n != len(p) {
		if cap(sc.edge) < n {
			sc.edge = make([]byte, n)
		}
		data = sc.edge[:n]
	}
	if err := readFull(b.file, data, from); err != nil {
		return fmt.Errorf("base at %d: %w", from, err)
	}
	if cap(sc.entries) < int(end-first) {
		sc.entries = make([]leaf.Entry, end-first)
	}
	entries := sc.entries[:end-first]
	if err := b.leaves.Load(entries, first); err != nil {
		return err
	}
	for i := range entries {
		block := data[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
		if !entries[i].Matches(leaf.Of(block)) && (entries[i].Bad() || !st.destaging(b.number, first+int64(i))) {
			return &target.MediumError{Off: from + int64(i)*leaf.BlockSize, Len: leaf.BlockSize,
				Err: fmt.Errorf("%w (base of volume %s)", errLeaf, b.id)}
		}
	}
	if n != len(p) {
		copy(p, data[off-from:])
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
