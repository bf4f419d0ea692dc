package xfs

import "github.com/weirstor/weir/classify/fs"

// Regions implements fs.FileSystem.
func (f *FileSystem) Regions(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	add(0, f.Size(), fs.Data)
	if log := f.fsSpan(f.logStart, f.logBlocks); f.logStart != 0 && log.Len > 0 {
		add(log.Off, log.Len, fs.Journal)
	}
	for ag := range f.ags {
		if err := f.agRegions(ag, fuel, add); err != nil {
			return err
		}
	}
	return f.directories(fuel, add)
}

// agRegions reports the headers and trees of an allocation group, and its inodes.
func (f *FileSystem) agRegions(ag uint64, fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	at := int64(ag*f.agBlocks) * f.block
	add(at, f.sector, fs.Superblock)
	add(at+f.sector, 3*f.sector, fs.GroupDesc)
	if err := f.freeTrees(ag, fuel, add); err != nil {
		return err
	}
	if err := f.inodeTrees(ag, fuel, add); err != nil {
		return err
	}
	_, err := f.visitAG(ag, fuel, func(c chunk) (bool, error) {
		for i := uint64(0); i < chunkInodes; i += 4 {
			if s := f.place(c, i); s.Len > 0 {
				add(s.Off, 4*f.inodeSize, fs.InodeTable)
			}
		}
		return true, nil
	})
	return err
}

// freeTrees reports the trees whose roots the AGF names.
func (f *FileSystem) freeTrees(ag uint64, fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	agf, err := f.header(ag, 1, "XAGF")
	if err != nil || agf == nil {
		return err
	}
	trees := []agTree{
		{16, 28, [2]string{"AB3B", "ABTB"}, 8, true},
		{20, 32, [2]string{"AB3C", "ABTC"}, 8, true},
		{24, 36, [2]string{"RMB3", "RMB3"}, 40, f.rmap},
		{88, 92, [2]string{"R3FC", "R3FC"}, 4, f.reflink},
	}
	return f.reportTrees(ag, agf, trees, fuel, fs.BlockBitmap, add)
}

// inodeTrees reports the trees whose roots the AGI names.
func (f *FileSystem) inodeTrees(ag uint64, fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	agi, err := f.header(ag, 2, "XAGI")
	if err != nil || agi == nil {
		return err
	}
	trees := []agTree{
		{20, 24, [2]string{"IAB3", "IABT"}, 4, true},
		{328, 332, [2]string{"FIB3", "FIBT"}, 4, f.finobt},
	}
	return f.reportTrees(ag, agi, trees, fuel, fs.InodeBitmap, add)
}

// agTree says where a header names a tree, and what its blocks look like.
type agTree struct {
	root, levels int // offsets in the header
	magic        [2]string
	key          int
	there        bool
}

func (f *FileSystem) reportTrees(ag uint64, header []byte, trees []agTree, fuel *fs.Fuel, kind fs.Region, add func(off, n int64, kind fs.Region)) error {
	for _, at := range trees {
		if !at.there {
			continue
		}
		t := &tree{f: f, ag: ag, magic: at.magic, key: at.key, fuel: fuel, block: func(s fs.Span) { add(s.Off, s.Len, kind) }}
		if _, err := t.walk(uint64(be32(header, at.root)), int(be32(header, at.levels))-1); err != nil {
			return err
		}
	}
	return nil
}

// directories reports the blocks of directories and of extent trees, as far as the fuel goes.
func (f *FileSystem) directories(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	return f.inodes(fuel, func(ino *fs.Inode) bool {
		for _, n := range ino.Nodes {
			add(n.Off, n.Len, fs.ExtentTree)
		}
		if ino.Type == fs.Dir {
			for _, r := range ino.Runs {
				add(r.Off, r.Len, fs.Directory)
			}
		}
		return true
	})
}
