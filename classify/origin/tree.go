package origin

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/layout"
)

// Bounds of a Tree: what a volume has beyond them is left out, and Tree.Complete says so. A run takes 32 bytes, a file
// some 200.
const (
	maxFiles = 2 << 20
	maxRuns  = 8 << 20
)

// Tree is what the file systems of a volume hold at one moment. It does not change once made.
type Tree struct {
	// Complete tells that every file and every run is in the tree.
	Complete bool

	name    string
	systems []*system
	owned   []owned // sorted by off, not overlapping
	records []*File // sorted by where the inode lies
	regions *classify.Map
}

// system is one file system.
type system struct {
	label    string
	kind     string
	root     uint64
	files    map[uint64]*File
	replayed int // blocks of its journal that lay over it
}

// File is a file, directory or other named object.
type File struct {
	Number     uint64
	Generation uint64
	Type       fs.Type
	Size       int64
	Links      uint32
	ModifiedNs int64 // since 1970

	system *system
	digest uint64
	record fs.Span // on the volume
	names  []name
	layout uint64 // digest of where its content lies
}

// name is one entry of a directory.
type name struct {
	dir  uint64
	name string
}

// owned is a run of a file's content, or of blocks that say where it is, on the volume.
type owned struct {
	off, n int64
	file   int64 // offset in the content; -1 for blocks of its extent tree
	of     *File
}

// Read looks at a volume of size bytes. Errors are those of r and of ctx; structures that make no sense are left out.
func Read(ctx context.Context, r fs.View, size int64) (*Tree, error) {
	found, err := layout.Find(r, size, true, nil)
	if err != nil {
		return nil, err
	}
	t := &Tree{Complete: true, name: found.Name()}
	if t.regions, err = classify.ReadMap(r, size); err != nil {
		return nil, err
	}
	for _, s := range found.Systems {
		if err := t.read(ctx, s); err != nil {
			return nil, fmt.Errorf("%s %s: %w", s.Kind(), s.Label, err)
		}
	}
	slices.SortFunc(t.owned, func(a, b owned) int { return cmp.Compare(a.off, b.off) })
	t.owned = dropOverlaps(t.owned)
	slices.SortFunc(t.records, func(a, b *File) int { return cmp.Compare(a.record.Off, b.record.Off) })
	return t, nil
}

// dropOverlaps keeps the first of runs that claim the same bytes: files that share blocks, or a damaged file system.
func dropOverlaps(runs []owned) []owned {
	out, end := runs[:0], int64(math.MinInt64)
	for _, o := range runs {
		if o.off < end {
			continue
		}
		out, end = append(out, o), o.off+o.n
	}
	return out
}

// FileSystem names what was recognised; "" for nothing.
func (t *Tree) FileSystem() string { return t.name }

// read adds one file system.
func (t *Tree) read(ctx context.Context, found layout.Found) error {
	s := &system{label: found.Label, kind: found.Kind(), root: found.Root(), files: map[uint64]*File{}, replayed: found.Replayed}
	t.systems = append(t.systems, s)
	var dirs []*fs.Inode
	err := found.Inodes(func(ino *fs.Inode) bool {
		if len(s.files) >= maxFiles {
			t.Complete = false
			return false
		}
		if found.Reserved(ino.Number) {
			return true
		}
		s.files[ino.Number] = t.add(s, found, ino)
		if ino.Type == fs.Dir {
			dirs = append(dirs, ino)
		}
		return ctx.Err() == nil
	})
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return err
	}
	for _, d := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := found.ReadDir(d, func(b []byte, child uint64) bool {
			if f := s.files[child]; f != nil && len(f.names) < 64 {
				f.names = append(f.names, name{d.Number, string(b)})
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// add notes an inode and what it owns of the volume.
func (t *Tree) add(s *system, found layout.Found, ino *fs.Inode) *File {
	f := &File{Number: ino.Number, Generation: ino.Generation, Type: ino.Type, Size: ino.Size, Links: ino.Links,
		ModifiedNs: ino.Modified.UnixNano(), system: s, digest: ino.Digest, record: ino.Record}
	found.Place(ino.Record.Off, 1, func(_, out, _ int64) { f.record.Off = out })
	t.records = append(t.records, f)
	t.Complete = t.Complete && !ino.Partial
	for _, r := range ino.Runs {
		f.layout = f.layout*31 + uint64(r.File)*7 + uint64(r.Off)*3 + uint64(r.Len)
		found.Place(r.Off, r.Len, func(in, out, n int64) { t.own(owned{out, n, r.File + in - r.Off, f}) })
	}
	for _, n := range ino.Nodes {
		found.Place(n.Off, n.Len, func(_, out, n int64) { t.own(owned{out, n, -1, f}) })
	}
	return f
}

func (t *Tree) own(o owned) {
	if len(t.owned) >= maxRuns {
		t.Complete = false
		return
	}
	t.owned = append(t.owned, o)
}
