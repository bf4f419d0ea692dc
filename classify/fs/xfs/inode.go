package xfs

import (
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/weirstor/weir/classify/fs"
)

// Formats of a fork and flags of an inode (struct xfs_dinode).
const (
	formatLocal   = 1
	formatExtents = 2
	formatTree    = 3

	flag2BigTime = 1 << 3
	flag2NRext64 = 1 << 4

	chunkInodes = 64
)

// Inodes implements fs.FileSystem.
func (f *FileSystem) Inodes(visit func(*fs.Inode) bool) error {
	return f.inodes(fs.NewFuel(int64(f.blocks)), visit)
}

func (f *FileSystem) inodes(fuel *fs.Fuel, visit func(*fs.Inode) bool) error {
	for ag := range f.ags {
		more, err := f.visitAG(ag, fuel, func(c chunk) (bool, error) { return f.visitChunk(c, fuel, visit) })
		if !more || err != nil {
			return err
		}
	}
	return nil
}

// chunk is a record of the tree of inodes: 64 inodes in a row.
type chunk struct {
	ag    uint64
	first uint64 // number of its first inode within the group
	free  uint64 // bit i: inode i is free
	holes uint16 // bit i: inodes 4i to 4i+3 have no place
}

// visitAG calls visit for each chunk of an allocation group.
func (f *FileSystem) visitAG(ag uint64, fuel *fs.Fuel, visit func(chunk) (bool, error)) (bool, error) {
	agi, err := f.header(ag, 2, "XAGI")
	if err != nil || agi == nil {
		return true, err
	}
	t := &tree{f: f, ag: ag, magic: [2]string{"IAB3", "IABT"}, key: 4, fuel: fuel}
	t.leaf = func(b []byte, n int) (bool, error) {
		for i := range min(n, len(b)/16) {
			r := b[16*i:]
			c := chunk{ag: ag, first: uint64(be32(r, 0)), free: be64(r, 8)}
			if f.sparse {
				c.holes = be16(r, 4)
			}
			if more, err := visit(c); !more || err != nil {
				return more, err
			}
		}
		return true, nil
	}
	return t.walk(uint64(be32(agi, 20)), int(be32(agi, 24))-1)
}

// header reads sector n of an allocation group, nil if it is not what it should be.
func (f *FileSystem) header(ag uint64, n int64, magic string) ([]byte, error) {
	b := make([]byte, f.sector)
	if err := f.r.ReadAt(b, int64(ag*f.agBlocks)*f.block+n*f.sector); err != nil {
		return nil, fmt.Errorf("xfs header %s of allocation group %d: %w", magic, ag, err)
	}
	if string(b[:4]) != magic || uint64(be32(b, 8)) != ag {
		return nil, nil
	}
	return b, nil
}

// place is where inode i of a chunk lies; Len 0 if nowhere.
func (f *FileSystem) place(c chunk, i uint64) fs.Span {
	n := c.first + i
	s := f.agSpan(c.ag, n>>f.inopLog, 1)
	if s.Len == 0 || c.holes>>(i/4)&1 != 0 {
		return fs.Span{}
	}
	return fs.Span{Off: s.Off + int64(n&(1<<f.inopLog-1))*f.inodeSize, Len: f.inodeSize}
}

// visitChunk reads the inodes of a chunk that are in use.
func (f *FileSystem) visitChunk(c chunk, fuel *fs.Fuel, visit func(*fs.Inode) bool) (bool, error) {
	if !fuel.Use(1 + chunkInodes*f.inodeSize/f.block) {
		return false, nil
	}
	raw := make([]byte, f.inodeSize)
	for i := range uint64(chunkInodes) {
		record := f.place(c, i)
		if c.free>>i&1 != 0 || record.Len == 0 {
			continue
		}
		if err := f.r.ReadAt(raw, record.Off); err != nil {
			return false, fmt.Errorf("xfs inode at %d: %w", record.Off, err)
		}
		number := c.ag<<(f.agBlkLog+f.inopLog) | (c.first + i)
		ino, err := f.parseInode(number, raw, record, fuel)
		if err != nil {
			return false, err
		}
		if ino != nil && !visit(ino) {
			return false, nil
		}
	}
	return true, nil
}

// parseInode returns nil for what is no inode in use.
func (f *FileSystem) parseInode(number uint64, raw []byte, record fs.Span, fuel *fs.Fuel) (*fs.Inode, error) {
	mode := be16(raw, 2)
	if string(raw[:2]) != "IN" || mode == 0 || raw[4] < 2 || raw[4] > 3 {
		return nil, nil
	}
	core, flags2 := 100, uint64(0)
	if raw[4] == 3 {
		core, flags2 = 176, be64(raw, 120)
	}
	ino := &fs.Inode{Number: number, Generation: uint64(be32(raw, 92)), Links: be32(raw, 16), Record: record, Digest: xxh3.Hash(raw),
		Size: int64(be64(raw, 56) &^ (1 << 63)), Modified: modified(raw, flags2)}
	switch mode >> 12 {
	case 0x8:
		ino.Type = fs.File
	case 0x4:
		ino.Type = fs.Dir
	case 0xa:
		ino.Type = fs.Symlink
	}
	fork := raw[core:]
	if n := int(raw[82]) * 8; n > 0 && n <= len(fork) {
		fork = fork[:n]
	}
	extents := uint64(be32(raw, 76))
	if flags2&flag2NRext64 != 0 {
		extents = be64(raw, 24)
	}
	return ino, f.fork(ino, raw[5], fork, extents, fuel)
}

// fork fills what the data fork tells of the content.
func (f *FileSystem) fork(ino *fs.Inode, format byte, fork []byte, extents uint64, fuel *fs.Fuel) error {
	switch format {
	case formatLocal:
		ino.Inline = append([]byte(nil), fork[:min(int64(len(fork)), ino.Size)]...)
	case formatExtents:
		w := &bmap{f: f, ino: ino}
		w.records(fork, int(min(extents, uint64(len(fork)/16))))
	case formatTree:
		w := &bmap{f: f, ino: ino, fuel: fuel}
		return w.root(fork)
	}
	return nil
}

// modified is the time of the last change of content.
func modified(raw []byte, flags2 uint64) time.Time {
	if flags2&flag2BigTime != 0 {
		t := be64(raw, 40)
		return time.Unix(int64(t/1e9)-1<<31, int64(t%1e9))
	}
	return time.Unix(int64(int32(be32(raw, 40))), int64(be32(raw, 44)))
}
