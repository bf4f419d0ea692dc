package classify

// readJournal notes the blocks of the journal's inode, or those that the superblock keeps a copy of.
func (fs *ext4) readJournal(sb []byte) error {
	if fs.journalInode == 0 || fs.journalInode > fs.groups*fs.inodesPerGroup {
		return nil
	}
	iblock, flags, err := fs.readInode(fs.journalInode)
	if err != nil {
		return err
	}
	w := &blockWalk{fs: fs, kind: Journal, nodes: maxJournalNodes}
	if flags&inodeFlagExtents != 0 {
		return w.extents(iblock, maxExtDepth)
	}
	if backup := sb[0x10c : 0x10c+60]; iblock == nil || le32(iblock, 0) == 0 {
		if le16(backup, 0) == extentMagic {
			return w.extents(backup, maxExtDepth)
		}
		iblock = backup
	}
	return w.blockMap(iblock)
}

// readInode returns the 60 bytes of i_block and the flags of inode ino (counted from 1), or nothing if its table is
// out of place.
func (fs *ext4) readInode(ino uint64) (iblock []byte, flags uint32, err error) {
	g, i := (ino-1)/fs.inodesPerGroup, (ino-1)%fs.inodesPerGroup
	desc := make([]byte, fs.descSize)
	if _, err := fs.readDescs(g, desc); err != nil {
		return nil, 0, err
	}
	table := fs.descField(desc, 0x8, 0x28)
	if table <= fs.firstData || table+fs.inodeTableBlocks() > fs.blocks {
		return nil, 0, nil
	}
	var inode [128]byte
	if err := fs.r.ReadAt(inode[:], fs.off+int64(table)*fs.block+int64(i)*fs.inodeSize); err != nil {
		return nil, 0, err
	}
	return inode[0x28 : 0x28+60], le32(inode[:], 0x20), nil
}

const extentMagic = 0xf30a

// blockWalk visits the blocks of a file; nodes is what it may still read.
type blockWalk struct {
	fs    *ext4
	kind  Region
	nodes int
}

// extents walks an extent tree node ("Extent Tree" in the ext4 layout). Depth only falls, nodes only fall.
func (w *blockWalk) extents(node []byte, depth int) error {
	if len(node) < 12 || le16(node, 0) != extentMagic || int(le16(node, 6)) > depth {
		return nil
	}
	n := min(int(le16(node, 2)), len(node)/12-1)
	below := int(le16(node, 6)) - 1
	for i := range n {
		e := node[12+12*i:]
		if below < 0 {
			length := uint64(le16(e, 4))
			if length > 32768 {
				length -= 32768
			}
			w.fs.add(uint64(le16(e, 6))<<32|uint64(le32(e, 8)), length, w.kind)
			continue
		}
		block := uint64(le16(e, 8))<<32 | uint64(le32(e, 4))
		w.fs.add(block, 1, w.kind)
		child, err := w.read(block)
		if err != nil {
			return err
		}
		if err := w.extents(child, below); err != nil {
			return err
		}
	}
	return nil
}

// blockMap walks the direct and indirect blocks of an inode without extents.
func (w *blockWalk) blockMap(iblock []byte) error {
	if len(iblock) < 60 {
		return nil
	}
	for i := range 12 {
		w.fs.add(uint64(le32(iblock, 4*i)), min(1, uint64(le32(iblock, 4*i))), w.kind)
	}
	for level := 1; level <= 3; level++ {
		if err := w.indirect(uint64(le32(iblock, 4*(11+level))), level); err != nil {
			return err
		}
	}
	return nil
}

func (w *blockWalk) indirect(block uint64, level int) error {
	if block == 0 {
		return nil
	}
	w.fs.add(block, 1, w.kind)
	if level == 0 {
		return nil
	}
	node, err := w.read(block)
	if err != nil {
		return err
	}
	for at := 0; at+4 <= len(node); at += 4 {
		if err := w.indirect(uint64(le32(node, at)), level-1); err != nil {
			return err
		}
	}
	return nil
}

// read returns a block, or nothing when it is out of place or enough was read.
func (w *blockWalk) read(block uint64) ([]byte, error) {
	if block <= w.fs.firstData || block >= w.fs.blocks || w.nodes == 0 {
		return nil, nil
	}
	w.nodes--
	b := make([]byte, w.fs.block)
	return b, w.fs.r.ReadAt(b, w.fs.off+int64(block)*w.fs.block)
}
