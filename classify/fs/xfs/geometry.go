package xfs

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/classify/fs"
)

// Bounds of what is read of one file system.
const (
	maxAGs   = 1 << 20
	maxDepth = 9 // of a tree: XFS_BTREE_MAXLEVELS
)

// Feature bits of the superblock.
const (
	features2Ftype  = 0x200 // version 4
	incompatFtype   = 0x1
	incompatSparse  = 0x2
	roCompatFinobt  = 0x1
	roCompatRmap    = 0x2
	roCompatReflink = 0x4
)

// FileSystem is an XFS file system. It implements fs.FileSystem.
type FileSystem struct {
	r    fs.View
	size int64

	block     int64
	blocks    uint64
	agBlocks  uint64
	ags       uint64
	agBlkLog  uint
	inopLog   uint
	sector    int64
	inodeSize int64
	dirBlock  int64
	root      uint64
	logStart  uint64
	logBlocks uint64
	v5        bool
	ftype     bool
	sparse    bool
	finobt    bool
	rmap      bool
	reflink   bool
}

var _ fs.FileSystem = (*FileSystem)(nil)

// Open looks for a file system at the start of r, which has size bytes. It returns nil without error if there is none.
func Open(r fs.View, size int64) (*FileSystem, error) {
	if size < 1<<20 {
		return nil, nil
	}
	var sb [512]byte
	if err := r.ReadAt(sb[:], 0); err != nil {
		return nil, fmt.Errorf("xfs superblock: %w", err)
	}
	f := &FileSystem{r: r, size: size}
	if !f.parse(sb[:]) {
		return nil, nil
	}
	return f, nil
}

// Kind implements fs.FileSystem.
func (f *FileSystem) Kind() string { return "xfs" }

// Size implements fs.FileSystem.
func (f *FileSystem) Size() int64 { return int64(f.blocks) * f.block }

// Root implements fs.FileSystem.
func (f *FileSystem) Root() uint64 { return f.root }

// Reserved implements fs.FileSystem: what XFS keeps in inodes of its own has no name.
func (f *FileSystem) Reserved(uint64) bool { return false }

// parse fills the geometry and reports whether it makes sense (struct xfs_dsb).
func (f *FileSystem) parse(sb []byte) bool {
	version := be16(sb, 100) & 0xf
	if string(sb[:4]) != "XFSB" || version < 4 || version > 5 {
		return false
	}
	f.block, f.blocks = int64(be32(sb, 4)), be64(sb, 8)
	f.logStart, f.root = be64(sb, 48), be64(sb, 56)
	f.agBlocks, f.ags = uint64(be32(sb, 84)), uint64(be32(sb, 88))
	f.logBlocks = uint64(be32(sb, 96))
	f.sector, f.inodeSize = int64(be16(sb, 102)), int64(be16(sb, 104))
	f.inopLog, f.agBlkLog = uint(sb[123]), uint(sb[124])
	f.v5 = version == 5
	if f.v5 {
		ro, in := be32(sb, 212), be32(sb, 216)
		f.ftype, f.sparse = in&incompatFtype != 0, in&incompatSparse != 0
		f.finobt, f.rmap, f.reflink = ro&roCompatFinobt != 0, ro&roCompatRmap != 0, ro&roCompatReflink != 0
	} else {
		f.ftype = be32(sb, 200)&features2Ftype != 0
	}
	if sb[192] > 8 {
		return false
	}
	f.dirBlock = f.block << sb[192]
	return f.sound()
}

// sound holds the geometry to the volume: so it bounds every later loop and allocation.
func (f *FileSystem) sound() bool {
	switch {
	case f.block < 512 || f.block > 64<<10 || bits.OnesCount64(uint64(f.block)) != 1:
		return false
	case f.dirBlock > 64<<10 || f.blocks == 0 || f.blocks > uint64(f.size/f.block):
		return false
	case f.sector < 512 || f.sector > f.block || bits.OnesCount64(uint64(f.sector)) != 1:
		return false
	case f.inodeSize < 256 || f.inodeSize > f.block || bits.OnesCount64(uint64(f.inodeSize)) != 1:
		return false
	case f.agBlocks < 64 || f.ags == 0 || f.ags > maxAGs || f.agBlkLog > 32 || 1<<f.agBlkLog < f.agBlocks:
		return false
	case f.inopLog > 8 || f.inodeSize<<f.inopLog != f.block:
		return false
	}
	return f.agBlocks*(f.ags-1) < f.blocks && f.agBlocks*f.ags >= f.blocks
}

// agSize is the number of blocks of an allocation group.
func (f *FileSystem) agSize(ag uint64) uint64 { return min(f.agBlocks, f.blocks-ag*f.agBlocks) }

// agSpan is n blocks from block of an allocation group as bytes; its Len is 0 if they are out of place.
func (f *FileSystem) agSpan(ag, block, n uint64) fs.Span {
	if ag >= f.ags || block >= f.agSize(ag) || n == 0 || n > f.agSize(ag)-block {
		return fs.Span{}
	}
	return fs.Span{Off: int64(ag*f.agBlocks+block) * f.block, Len: int64(n) * f.block}
}

// fsSpan is agSpan for a block number of the whole file system, which holds the group in its upper bits.
func (f *FileSystem) fsSpan(block, n uint64) fs.Span {
	return f.agSpan(block>>f.agBlkLog, block&(1<<f.agBlkLog-1), n)
}

// read returns the block that a span begins with.
func (f *FileSystem) read(s fs.Span) ([]byte, error) {
	b := make([]byte, f.block)
	if err := f.r.ReadAt(b, s.Off); err != nil {
		return nil, fmt.Errorf("xfs block at %d: %w", s.Off, err)
	}
	return b, nil
}

func be16(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func be64(b []byte, at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
