package origin

import (
	"math"
	"slices"

	"github.com/weirstor/weir/classify/fs"
)

// Origin is what a byte of the volume belongs to.
type Origin struct {
	Kind fs.Region // Data for content of a file, Directory, Journal, …; Unknown outside file systems
	File *File     // whose content, directory blocks or extent tree it is; for InodeTable whose inode; else nil
	Off  int64     // in the content, -1 outside of it
}

// At says what the byte at off belongs to, and up to where that holds without a gap in the content.
func (t *Tree) At(off int64) (o Origin, end int64) {
	kind, end := t.regions.RegionAt(off)
	o = Origin{Kind: kind, Off: -1}
	switch kind {
	case fs.Unknown, fs.Data, fs.Directory, fs.ExtentTree:
		return t.content(o, off, end)
	case fs.InodeTable:
		return t.inode(o, off, end)
	}
	return o, end
}

// content finds the file that owns off, of a region that ends at end.
func (t *Tree) content(o Origin, off, end int64) (Origin, int64) {
	i, found := slices.BinarySearchFunc(t.owned, off, func(w owned, off int64) int { return around(w.off, w.n, off) })
	if !found {
		if i < len(t.owned) {
			end = min(end, t.owned[i].off)
		}
		return o, end
	}
	w := t.owned[i]
	o.File = w.of
	switch {
	case w.file < 0:
		o.Kind = fs.ExtentTree
	case w.of.Type == fs.Dir:
		o.Kind, o.Off = fs.Directory, w.file+off-w.off
	default:
		o.Kind, o.Off = fs.Data, w.file+off-w.off
	}
	return o, min(end, w.off+w.n)
}

// inode finds the file whose inode lies at off.
func (t *Tree) inode(o Origin, off, end int64) (Origin, int64) {
	i, found := slices.BinarySearchFunc(t.records, off, func(f *File, off int64) int { return around(f.record.Off, f.record.Len, off) })
	switch {
	case found:
		o.File = t.records[i]
		end = min(end, o.File.record.Off+o.File.record.Len)
	case i < len(t.records):
		end = min(end, t.records[i].record.Off)
	}
	return o, end
}

// around compares a range with an offset for a binary search: 0 if it holds it.
func around(off, n, at int64) int {
	switch {
	case off+n <= at:
		return -1
	case off > at:
		return 1
	}
	return 0
}

// Spread calls f for each part of [off, off+n) that belongs to one thing.
func (t *Tree) Spread(off, n int64, f func(o Origin, off, n int64)) {
	for stop := off + min(n, math.MaxInt64-off); off < stop; {
		o, end := t.At(off)
		end = max(min(end, stop), off+1)
		f(o, off, end-off)
		off = end
	}
}
