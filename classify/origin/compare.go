package origin

import (
	"cmp"
	"context"
	"slices"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/fs"
)

// Change says what became of a file.
type Change string

// The changes; a file that was renamed and written to is Renamed, with the bytes.
const (
	Created  Change = "created"
	Deleted  Change = "deleted"
	Renamed  Change = "renamed"  // or has another set of names
	Modified Change = "modified" // its content
	Metadata Change = "metadata" // only its inode: times, owner, mode, attributes
)

// FileChange is a file that differs between two moments.
type FileChange struct {
	Change  Change
	Path    string // the later one
	OldPath string // if renamed
	Type    fs.Type
	Number  uint64
	Size    int64
	OldSize int64
	Bytes   [classify.NumClasses]int64 // of changed blocks that hold its content, at the later moment
}

// Sum is all of Bytes.
func (c FileChange) Sum() int64 {
	n := int64(0)
	for _, b := range c.Bytes {
		n += b
	}
	return n
}

// Difference is what Compare finds.
type Difference struct {
	Files     []FileChange         // those with the most bytes first
	Elsewhere [fs.NumRegions]int64 // changed bytes that are no content of a file, by kind
	Complete  bool
}

// Range is a range of the volume that changed, and how.
type Range struct {
	Off, Len int64
	Class    classify.Class
}

// Compare tells what happened between two moments of a volume, of which changed lists, in address order, all ranges that
// differ. A file is the same when number and generation are.
func Compare(ctx context.Context, old, new *Tree, changed []Range) (*Difference, error) {
	c := comparison{old: old, new: new, bytes: map[*File]*[classify.NumClasses]int64{}}
	d := &Difference{Complete: old.Complete && new.Complete}
	for _, r := range changed {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		new.Spread(r.Off, r.Len, func(o Origin, _, n int64) { c.count(d, o, n, r.Class) })
	}
	for _, s := range new.systems {
		c.system(d, old.like(s), s)
	}
	for _, s := range old.systems {
		if new.like(s) == nil {
			c.system(d, s, nil)
		}
	}
	slices.SortFunc(d.Files, func(a, b FileChange) int {
		return cmp.Or(cmp.Compare(b.Sum(), a.Sum()), cmp.Compare(a.Path, b.Path))
	})
	return d, nil
}

// like is the system that lies in the same place, nil if there is none of its kind.
func (t *Tree) like(s *system) *system {
	for _, o := range t.systems {
		if o.label == s.label && o.kind == s.kind {
			return o
		}
	}
	return nil
}

// comparison is the state of one Compare.
type comparison struct {
	old, new *Tree
	bytes    map[*File]*[classify.NumClasses]int64
}

// count adds n changed bytes to what they belong to.
func (c *comparison) count(d *Difference, o Origin, n int64, class classify.Class) {
	if o.File == nil || o.Off < 0 || o.File.Type == fs.Dir {
		d.Elsewhere[o.Kind] += n
		return
	}
	b := c.bytes[o.File]
	if b == nil {
		b = new([classify.NumClasses]int64)
		c.bytes[o.File] = b
	}
	b[class] += n
}

// system compares one file system at both moments; one of them may be nil.
func (c *comparison) system(d *Difference, old, new *system) {
	if new != nil {
		for number, f := range new.files {
			var before *File
			if old != nil {
				before = old.files[number]
			}
			if before != nil && before.Generation != f.Generation {
				d.Files = append(d.Files, deleted(before))
				before = nil
			}
			if ch, ok := c.file(before, f); ok {
				d.Files = append(d.Files, ch)
			}
		}
	}
	if old == nil {
		return
	}
	for number, f := range old.files {
		if new == nil || new.files[number] == nil {
			d.Files = append(d.Files, deleted(f))
		}
	}
}

func deleted(f *File) FileChange {
	return FileChange{Change: Deleted, Path: f.Path(), Type: f.Type, Number: f.Number, OldSize: f.Size}
}

// file compares a file with what it was, nil if it is new; false if nothing differs.
func (c *comparison) file(before, f *File) (FileChange, bool) {
	out := FileChange{Path: f.Path(), Type: f.Type, Number: f.Number, Size: f.Size}
	if b := c.bytes[f]; b != nil {
		out.Bytes = *b
	}
	if before == nil {
		out.Change = Created
		return out, true
	}
	out.OldSize = before.Size
	switch {
	case !sameNames(before, f):
		out.Change, out.OldPath = Renamed, before.Path()
	case f.Type != fs.Dir && (c.bytes[f] != nil || before.Size != f.Size || before.layout != f.layout):
		out.Change = Modified
	case before.digest != f.digest:
		out.Change = Metadata
	default:
		return out, false
	}
	return out, true
}

// sameNames reports whether two files have the same entries in the same directories. A file below a directory that was
// renamed keeps its own names: only the directory is reported.
func sameNames(a, b *File) bool {
	if len(a.names) != len(b.names) {
		return false
	}
	for _, n := range a.names {
		if !slices.Contains(b.names, n) {
			return false
		}
	}
	return true
}
