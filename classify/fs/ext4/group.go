package ext4

import "fmt"

// Flags of a group descriptor ("Block Group Descriptors").
const groupInodesUninit = 0x1

// group is what a group descriptor says.
type group struct {
	blockBitmap uint64
	inodeBitmap uint64
	inodeTable  uint64
	used        uint64 // inodes from the first of the group that may be in use
}

// visitGroups reads all group descriptors in order.
func (f *FileSystem) visitGroups(visit func(g uint64, d group) error) error {
	buf := make([]byte, min(step, int64(f.groups)*f.descSize+f.block))
	for g := uint64(0); g < f.groups; {
		n, err := f.readDescs(g, buf)
		if err != nil {
			return err
		}
		for i := range n {
			if err := visit(g+i, f.parseDesc(buf[int64(i)*f.descSize:])); err != nil {
				return err
			}
		}
		g += n
	}
	return nil
}

func (f *FileSystem) readGroup(g uint64) (group, error) {
	desc := make([]byte, f.descSize)
	if _, err := f.readDescs(g, desc); err != nil {
		return group{}, err
	}
	return f.parseDesc(desc), nil
}

func (f *FileSystem) parseDesc(d []byte) group {
	g := group{
		blockBitmap: f.descField(d, 0x0, 0x20), inodeBitmap: f.descField(d, 0x4, 0x24), inodeTable: f.descField(d, 0x8, 0x28),
		used: f.inodesPerGroup,
	}
	if !f.unused {
		return g
	}
	unused := uint64(le16(d, 0x1c))
	if f.descSize >= 64 {
		unused |= uint64(le16(d, 0x32)) << 16
	}
	g.used -= min(unused, g.used)
	if le16(d, 0x12)&groupInodesUninit != 0 {
		g.used = 0
	}
	return g
}

func (f *FileSystem) descField(d []byte, lo, hi int) uint64 {
	v := uint64(le32(d, lo))
	if f.descSize >= 64 {
		v |= uint64(le32(d, hi)) << 32
	}
	return v
}

// descPerBlock is the number of group descriptors in a block, the size of a meta block group.
func (f *FileSystem) descPerBlock() uint64 { return uint64(f.block / f.descSize) }

// readDescs reads descriptors from group g on into buf and returns how many; it stays within one meta block group.
func (f *FileSystem) readDescs(g uint64, buf []byte) (uint64, error) {
	n := min(uint64(len(buf))/uint64(f.descSize), f.groups-g)
	per := f.descPerBlock()
	at := int64(f.firstData+1)*f.block + int64(g)*f.descSize
	if meta := g / per; f.metaBG && meta >= f.firstMetaBG {
		n = min(n, per-g%per)
		at = int64(f.metaDescBlock(meta*per))*f.block + int64(g%per)*f.descSize
	} else if f.metaBG {
		n = min(n, f.firstMetaBG*per-g)
	}
	if err := f.r.ReadAt(buf[:int64(n)*f.descSize], at); err != nil {
		return 0, fmt.Errorf("ext4 group descriptors from %d on: %w", g, err)
	}
	return n, nil
}

// metaDescBlock is the block that holds the descriptors of a meta block group, in its group g.
func (f *FileSystem) metaDescBlock(g uint64) uint64 {
	at := f.groupStart(g)
	if f.hasSuper(g) {
		at++
	}
	return at
}

func (f *FileSystem) groupStart(g uint64) uint64 { return f.firstData + g*f.blocksPerGroup }

// hasSuper reports whether group g begins with a copy of the superblock.
func (f *FileSystem) hasSuper(g uint64) bool {
	switch {
	case g == 0:
		return true
	case f.sparse2:
		return g == uint64(f.backups[0]) || g == uint64(f.backups[1])
	case g == 1 || !f.sparse:
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
