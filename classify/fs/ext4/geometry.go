package ext4

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/classify/fs"
)

// Bounds of what is read of one file system.
const (
	maxGroups   = 1 << 20
	maxExtDepth = 5    // of an extent tree: no file has a deeper one
	maxNodes    = 4096 // tree or indirect blocks of the journal
	step        = 64 << 10
)

// Inode numbers with a meaning, "Special inodes".
const (
	rootInode   = 2
	resizeInode = 7 // the blocks reserved for group descriptors; its block map is not that of a file
	firstInode  = 11
)

// Feature bits and flags, ext4 disk layout, "The Super Block" and "Index Nodes".
const (
	compatSparseSuper2   = 0x200
	compatResizeInode    = 0x10
	incompatFiletype     = 0x2
	incompatJournalDev   = 0x8
	incompatMetaBG       = 0x10
	incompat64Bit        = 0x80
	roCompatSparseSuper  = 0x1
	roCompatGroupCsum    = 0x10
	roCompatMetadataCsum = 0x400
)

// FileSystem is an ext2, ext3 or ext4 file system. It implements fs.FileSystem.
type FileSystem struct {
	r    fs.View
	size int64 // of the view
	sb   [1024]byte

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
	filetype       bool // directory entries tell the type, so that a name's length has one byte
	unused         bool // group descriptors count the inodes that were never used
}

var _ fs.FileSystem = (*FileSystem)(nil)

// Open looks for a file system at the start of r, which has size bytes. It returns nil without error if there is none.
func Open(r fs.View, size int64) (*FileSystem, error) {
	if size < 4096 {
		return nil, nil
	}
	f := &FileSystem{r: r, size: size}
	if err := r.ReadAt(f.sb[:], 1024); err != nil {
		return nil, fmt.Errorf("ext4 superblock: %w", err)
	}
	if !f.parse(f.sb[:]) {
		return nil, nil
	}
	return f, nil
}

// Kind implements fs.FileSystem; ext2 and ext3 are "ext4" too.
func (f *FileSystem) Kind() string { return "ext4" }

// Size implements fs.FileSystem.
func (f *FileSystem) Size() int64 { return min(f.size, int64(f.blocks)*f.block) }

// Root implements fs.FileSystem.
func (f *FileSystem) Root() uint64 { return rootInode }

// Reserved implements fs.FileSystem: inodes 1 to 10, the root excepted, and the journal wherever it is.
func (f *FileSystem) Reserved(number uint64) bool {
	return number < firstInode && number != rootInode || number == f.journalInode
}

// parse fills the geometry and reports whether it makes sense.
func (f *FileSystem) parse(sb []byte) bool {
	if le16(sb, 0x38) != 0xef53 || le32(sb, 0x18) > 6 {
		return false
	}
	f.block = 1024 << le32(sb, 0x18)
	f.blocks = uint64(le32(sb, 0x4))
	f.firstData = uint64(le32(sb, 0x14))
	f.blocksPerGroup = uint64(le32(sb, 0x20))
	f.inodesPerGroup = uint64(le32(sb, 0x28))
	f.inodeSize, f.descSize = 128, 32
	compat, incompat, roCompat := le32(sb, 0x5c), le32(sb, 0x60), le32(sb, 0x64)
	if le32(sb, 0x4c) > 0 {
		f.inodeSize = int64(le16(sb, 0x58))
	}
	if incompat&incompat64Bit != 0 {
		f.blocks |= uint64(le32(sb, 0x150)) << 32
		f.descSize = int64(le16(sb, 0xfe))
	}
	f.metaBG = incompat&incompatMetaBG != 0
	f.filetype = incompat&incompatFiletype != 0
	f.firstMetaBG = uint64(le32(sb, 0x104))
	f.sparse = roCompat&roCompatSparseSuper != 0
	f.sparse2 = compat&compatSparseSuper2 != 0
	f.unused = roCompat&(roCompatGroupCsum|roCompatMetadataCsum) != 0
	f.backups = [2]uint32{le32(sb, 0x24c), le32(sb, 0x250)}
	if compat&compatResizeInode != 0 {
		f.reservedGDT = uint64(le16(sb, 0xce))
	}
	f.journalInode = uint64(le32(sb, 0xe0))
	return incompat&incompatJournalDev == 0 && f.sound()
}

// sound holds the geometry to the partition: so it bounds every later loop and allocation.
func (f *FileSystem) sound() bool {
	room := uint64(f.size / f.block)
	switch {
	case f.blocks == 0, f.blocks > room, f.firstData > 1, f.firstData >= f.blocks:
		return false
	case f.blocksPerGroup == 0, f.blocksPerGroup > 8*uint64(f.block)*64, f.blocksPerGroup < 256 && f.blocksPerGroup < f.blocks/2:
		return false
	case f.inodesPerGroup == 0, f.inodesPerGroup > 8*uint64(f.block):
		return false
	case f.inodeSize < 128, f.inodeSize > f.block, bits.OnesCount64(uint64(f.inodeSize)) != 1:
		return false
	case f.descSize < 32, f.descSize > f.block, bits.OnesCount64(uint64(f.descSize)) != 1:
		return false
	}
	f.groups = min(maxGroups, (f.blocks-f.firstData+f.blocksPerGroup-1)/f.blocksPerGroup)
	return true
}

// inTree reports whether a block can hold a structure that a pointer leads to.
func (f *FileSystem) inTree(block uint64) bool { return block > f.firstData && block < f.blocks }

// span is n blocks from block number first as bytes, cut to the file system; its Len is 0 if there are none.
func (f *FileSystem) span(first, n uint64) fs.Span {
	if first >= f.blocks || n == 0 {
		return fs.Span{}
	}
	return fs.Span{Off: int64(first) * f.block, Len: int64(min(n, f.blocks-first)) * f.block}
}

func (f *FileSystem) inodeTableBlocks() uint64 {
	return (f.inodesPerGroup*uint64(f.inodeSize) + uint64(f.block) - 1) / uint64(f.block)
}

func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
