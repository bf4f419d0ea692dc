package classify

import "math/bits"

// Bounds of what is read of one ext4 file system.
const (
	maxGroups       = 1 << 20
	maxExtDepth     = 5    // of an extent tree: no file has a deeper one
	maxJournalNodes = 4096 // tree or indirect blocks of a journal
	descStep        = 64 << 10
)

// Feature bits, ext4 disk layout, "The Super Block".
const (
	compatResizeInode   = 0x10
	compatSparseSuper2  = 0x200
	incompatJournalDev  = 0x8
	incompatMetaBG      = 0x10
	incompat64Bit       = 0x80
	roCompatSparseSuper = 0x1
	inodeFlagExtents    = 0x80000
)

// ext4 is the geometry that a superblock describes; all of it is checked to make sense by parse.
type ext4 struct {
	r    View
	b    *builder
	off  int64 // of the file system in the volume, bytes
	size int64 // of the partition

	block          int64 // bytes
	blocks         uint64
	firstData      uint64
	blocksPerGroup uint64
	inodesPerGroup uint64
	inodeSize      int64
	descSize       int64
	groups         uint64
	reservedGDT    uint64
	firstMetaBG    uint64
	journalInode   uint64
	backups        [2]uint32
	metaBG         bool
	sparse         bool
	sparse2        bool
}

// readExt4 adds what an ext2, ext3 or ext4 file system in size bytes at off tells. It returns false if there is none.
// Source: Linux, Documentation/filesystems/ext4.
func readExt4(r View, b *builder, off, size int64) (bool, error) {
	if size < 4096 {
		return false, nil
	}
	var sb [1024]byte
	if err := r.ReadAt(sb[:], off+1024); err != nil {
		return false, err
	}
	fs := &ext4{r: r, b: b, off: off, size: size}
	if !fs.parse(sb[:]) {
		return false, nil
	}
	b.add(off, min(size, int64(fs.blocks)*fs.block), Data)
	if err := fs.readGroups(); err != nil {
		return true, err
	}
	return true, fs.readJournal(sb[:])
}

// parse fills the geometry and reports whether it makes sense.
func (fs *ext4) parse(sb []byte) bool {
	if le16(sb, 0x38) != 0xef53 || le32(sb, 0x18) > 6 {
		return false
	}
	fs.block = 1024 << le32(sb, 0x18)
	fs.blocks = uint64(le32(sb, 0x4))
	fs.firstData = uint64(le32(sb, 0x14))
	fs.blocksPerGroup = uint64(le32(sb, 0x20))
	fs.inodesPerGroup = uint64(le32(sb, 0x28))
	fs.inodeSize, fs.descSize = 128, 32
	compat, incompat, roCompat := le32(sb, 0x5c), le32(sb, 0x60), le32(sb, 0x64)
	if le32(sb, 0x4c) > 0 {
		fs.inodeSize = int64(le16(sb, 0x58))
	}
	if incompat&incompat64Bit != 0 {
		fs.blocks |= uint64(le32(sb, 0x150)) << 32
		fs.descSize = int64(le16(sb, 0xfe))
	}
	fs.metaBG = incompat&incompatMetaBG != 0
	fs.firstMetaBG = uint64(le32(sb, 0x104))
	fs.sparse = roCompat&roCompatSparseSuper != 0
	fs.sparse2 = compat&compatSparseSuper2 != 0
	fs.backups = [2]uint32{le32(sb, 0x24c), le32(sb, 0x250)}
	if compat&compatResizeInode != 0 {
		fs.reservedGDT = uint64(le16(sb, 0xce))
	}
	fs.journalInode = uint64(le32(sb, 0xe0))
	return incompat&incompatJournalDev == 0 && fs.sound()
}

// sound holds the geometry to the partition: so it bounds every later loop and allocation.
func (fs *ext4) sound() bool {
	room := uint64(fs.size / fs.block)
	switch {
	case fs.blocks == 0, fs.blocks > room, fs.firstData > 1, fs.firstData >= fs.blocks:
		return false
	case fs.blocksPerGroup == 0, fs.blocksPerGroup > 8*uint64(fs.block)*64, fs.blocksPerGroup < 256 && fs.blocksPerGroup < fs.blocks/2:
		return false
	case fs.inodesPerGroup == 0, fs.inodesPerGroup > 8*uint64(fs.block):
		return false
	case fs.inodeSize < 128, fs.inodeSize > fs.block, bits.OnesCount64(uint64(fs.inodeSize)) != 1:
		return false
	case fs.descSize < 32, fs.descSize > fs.block, bits.OnesCount64(uint64(fs.descSize)) != 1:
		return false
	}
	fs.groups = min(maxGroups, (fs.blocks-fs.firstData+fs.blocksPerGroup-1)/fs.blocksPerGroup)
	return true
}

// add notes n blocks from block number first.
func (fs *ext4) add(first, n uint64, kind Region) {
	if first >= fs.blocks || n == 0 {
		return
	}
	fs.b.add(fs.off+int64(first)*fs.block, int64(min(n, fs.blocks-first))*fs.block, kind)
}

func (fs *ext4) inodeTableBlocks() uint64 {
	return (fs.inodesPerGroup*uint64(fs.inodeSize) + uint64(fs.block) - 1) / uint64(fs.block)
}

// descPerBlock is the number of group descriptors in a block, the size of a meta block group.
func (fs *ext4) descPerBlock() uint64 { return uint64(fs.block / fs.descSize) }

// readGroups notes the superblock copies and descriptors of each group, then bitmaps and inode tables.
func (fs *ext4) readGroups() error {
	for g := range fs.groups {
		fs.addHead(g)
	}
	tables := fs.inodeTableBlocks()
	var bitmaps, inodeMaps, inodeTables []uint64
	buf := make([]byte, min(descStep, int64(fs.groups)*fs.descSize+fs.block))
	for g := uint64(0); g < fs.groups; {
		n, err := fs.readDescs(g, buf)
		if err != nil {
			return err
		}
		for i := range n {
			d := buf[int64(i)*fs.descSize:]
			bitmaps = append(bitmaps, fs.descField(d, 0x0, 0x20))
			inodeMaps = append(inodeMaps, fs.descField(d, 0x4, 0x24))
			inodeTables = append(inodeTables, fs.descField(d, 0x8, 0x28))
		}
		g += n
		if len(bitmaps) >= maxSpans {
			break
		}
	}
	fs.addAll(bitmaps, 1, BlockBitmap)
	fs.addAll(inodeMaps, 1, InodeBitmap)
	fs.addAll(inodeTables, tables, InodeTable)
	return nil
}

// addAll notes a structure of every group; neighbours (flex_bg) become one span.
func (fs *ext4) addAll(first []uint64, n uint64, kind Region) {
	for _, f := range first {
		if f > fs.firstData {
			fs.add(f, n, kind)
		}
	}
}

func (fs *ext4) descField(d []byte, lo, hi int) uint64 {
	v := uint64(le32(d, lo))
	if fs.descSize >= 64 {
		v |= uint64(le32(d, hi)) << 32
	}
	return v
}

// readDescs reads descriptors from group g on into buf and returns how many; it stays within one meta block group.
func (fs *ext4) readDescs(g uint64, buf []byte) (uint64, error) {
	n := min(uint64(len(buf))/uint64(fs.descSize), fs.groups-g)
	per := fs.descPerBlock()
	at := int64(fs.firstData+1)*fs.block + int64(g)*fs.descSize
	if meta := g / per; fs.metaBG && meta >= fs.firstMetaBG {
		n = min(n, per-g%per)
		at = int64(fs.metaDescBlock(meta*per))*fs.block + int64(g%per)*fs.descSize
	} else if fs.metaBG {
		n = min(n, fs.firstMetaBG*per-g)
	}
	return n, fs.r.ReadAt(buf[:int64(n)*fs.descSize], fs.off+at)
}

// metaDescBlock is the block that holds the descriptors of a meta block group, in its group g.
func (fs *ext4) metaDescBlock(g uint64) uint64 {
	at := fs.groupStart(g)
	if fs.hasSuper(g) {
		at++
	}
	return at
}

func (fs *ext4) groupStart(g uint64) uint64 { return fs.firstData + g*fs.blocksPerGroup }

// addHead notes superblock copy and descriptor blocks of group g.
func (fs *ext4) addHead(g uint64) {
	at, super := fs.groupStart(g), fs.hasSuper(g)
	if super {
		fs.add(at, 1, Superblock)
	}
	if g == 0 && fs.firstData == 1 {
		fs.add(0, 1, Superblock) // the boot block
	}
	per := fs.descPerBlock()
	if meta := g / per; fs.metaBG && meta >= fs.firstMetaBG {
		if in := g % per; in == 0 || in == 1 || in == per-1 {
			fs.add(fs.metaDescBlock(g), 1, GroupDesc)
		}
		return
	}
	if super {
		n := (fs.groups + per - 1) / per
		if fs.metaBG {
			n = min(n, fs.firstMetaBG)
		}
		fs.add(at+1, n+fs.reservedGDT, GroupDesc)
	}
}

// hasSuper reports whether group g begins with a copy of the superblock.
func (fs *ext4) hasSuper(g uint64) bool {
	switch {
	case g == 0:
		return true
	case fs.sparse2:
		return g == uint64(fs.backups[0]) || g == uint64(fs.backups[1])
	case g == 1 || !fs.sparse:
		return true
	}
	return isPower(g, 3) || isPower(g, 5) || isPower(g, 7)
}

func isPower(n, base uint64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}
