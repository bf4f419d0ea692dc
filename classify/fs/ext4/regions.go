package ext4

import "github.com/weirstor/weir/classify/fs"

// regions reports where structures lie.
type regions struct {
	*FileSystem
	add func(off, n int64, kind fs.Region)
}

// Regions implements fs.FileSystem.
func (f *FileSystem) Regions(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	r := regions{f, add}
	add(0, f.Size(), fs.Data)
	for g := range f.groups {
		r.head(g)
	}
	if err := r.tables(); err != nil {
		return err
	}
	if err := r.journal(); err != nil {
		return err
	}
	return r.directories(fuel)
}

// blocks reports n blocks from block number first.
func (r regions) report(first, n uint64, kind fs.Region) {
	if s := r.span(first, n); s.Len > 0 {
		r.add(s.Off, s.Len, kind)
	}
}

// head reports superblock copy and descriptor blocks of group g.
func (r regions) head(g uint64) {
	at, super := r.groupStart(g), r.hasSuper(g)
	if super {
		r.report(at, 1, fs.Superblock)
	}
	if g == 0 && r.firstData == 1 {
		r.report(0, 1, fs.Superblock) // the boot block
	}
	per := r.descPerBlock()
	if meta := g / per; r.metaBG && meta >= r.firstMetaBG {
		if in := g % per; in == 0 || in == 1 || in == per-1 {
			r.report(r.metaDescBlock(g), 1, fs.GroupDesc)
		}
		return
	}
	if super {
		n := (r.groups + per - 1) / per
		if r.metaBG {
			n = min(n, r.firstMetaBG)
		}
		r.report(at+1, n+r.reservedGDT, fs.GroupDesc)
	}
}

// tables reports bitmaps and inode tables, one kind after the other, so that neighbours (flex_bg) become one range.
func (r regions) tables() error {
	var bitmaps, inodeMaps, inodeTables []uint64
	err := r.visitGroups(func(_ uint64, d group) error {
		bitmaps = append(bitmaps, d.blockBitmap)
		inodeMaps = append(inodeMaps, d.inodeBitmap)
		inodeTables = append(inodeTables, d.inodeTable)
		return nil
	})
	r.all(bitmaps, 1, fs.BlockBitmap)
	r.all(inodeMaps, 1, fs.InodeBitmap)
	r.all(inodeTables, r.inodeTableBlocks(), fs.InodeTable)
	return err
}

func (r regions) all(first []uint64, n uint64, kind fs.Region) {
	for _, b := range first {
		if b > r.firstData {
			r.report(b, n, kind)
		}
	}
}

// journal reports the blocks of the journal.
func (r regions) journal() error {
	ino, err := r.journalFile(fs.NewFuel(maxNodes))
	if err != nil || ino == nil {
		return err
	}
	for _, run := range ino.Runs {
		r.add(run.Off, run.Len, fs.Journal)
	}
	for _, n := range ino.Nodes {
		r.add(n.Off, n.Len, fs.Journal)
	}
	return nil
}

// directories reports the blocks of directories and of extent trees, as far as the fuel goes.
func (r regions) directories(fuel *fs.Fuel) error {
	return r.visitInodes(func(ino *fs.Inode) bool {
		if ino.Number != r.journalInode {
			for _, n := range ino.Nodes {
				r.add(n.Off, n.Len, fs.ExtentTree)
			}
		}
		if ino.Type == fs.Dir {
			for _, run := range ino.Runs {
				r.add(run.Off, run.Len, fs.Directory)
			}
		}
		return true
	}, fuel, true)
}
