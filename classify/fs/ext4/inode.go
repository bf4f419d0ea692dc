package ext4

import (
	"errors"
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/weirstor/weir/classify/fs"
)

// Inode flags, "Index Nodes".
const (
	flagExtents    = 0x80000
	flagEAInode    = 0x200000
	flagInlineData = 0x10000000
)

// Inodes implements fs.FileSystem. Inodes that a bitmap says are free are left out.
func (f *FileSystem) Inodes(visit func(*fs.Inode) bool) error {
	return f.visitInodes(visit, fs.NewFuel(int64(f.blocks)), false)
}

// visitInodes reads the tables of inodes; with nodesOnly content is looked up only for directories, and for files as
// far as their tree blocks are concerned.
func (f *FileSystem) visitInodes(visit func(*fs.Inode) bool, fuel *fs.Fuel, nodesOnly bool) error {
	t := &tables{FileSystem: f, fuel: fuel, nodesOnly: nodesOnly, visit: visit, table: make([]byte, step), bitmap: make([]byte, f.block)}
	err := f.visitGroups(t.group)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends a walk that wants no more.
var errEnough = errors.New("enough")

// tables walks the inode tables.
type tables struct {
	*FileSystem
	fuel          *fs.Fuel
	nodesOnly     bool
	visit         func(*fs.Inode) bool
	table, bitmap []byte
}

// group visits the inodes of group g.
func (t *tables) group(g uint64, d group) error {
	if d.used == 0 || !t.inTree(d.inodeTable) || !t.inTree(d.inodeBitmap) || d.inodeTable+t.inodeTableBlocks() > t.blocks {
		return nil
	}
	if err := t.r.ReadAt(t.bitmap, int64(d.inodeBitmap)*t.block); err != nil {
		return fmt.Errorf("ext4 inode bitmap of group %d: %w", g, err)
	}
	per := uint64(int64(len(t.table)) / t.inodeSize)
	for first := uint64(0); first < d.used; first += per {
		if err := t.part(g, d, first, min(per, d.used-first)); err != nil {
			return err
		}
	}
	return nil
}

// part visits n inodes of group g from the one with index first.
func (t *tables) part(g uint64, d group, first, n uint64) error {
	if !t.fuel.Use(1 + int64(n)*t.inodeSize/t.block) {
		return errEnough
	}
	at := int64(d.inodeTable)*t.block + int64(first)*t.inodeSize
	if err := t.r.ReadAt(t.table[:int64(n)*t.inodeSize], at); err != nil {
		return fmt.Errorf("ext4 inode table of group %d: %w", g, err)
	}
	for i := range n {
		if j := first + i; t.bitmap[j/8]>>(j%8)&1 == 0 {
			continue
		}
		record := fs.Span{Off: at + int64(i)*t.inodeSize, Len: t.inodeSize}
		ino, err := t.parseInode(g*t.inodesPerGroup+first+i+1, t.table[int64(i)*t.inodeSize:][:t.inodeSize], record, t.fuel, t.nodesOnly)
		if err != nil {
			return err
		}
		if ino != nil && !t.visit(ino) {
			return errEnough
		}
	}
	return nil
}

// readInode returns inode number, counted from 1, or nil if it is out of place or not in use.
func (f *FileSystem) readInode(number uint64, fuel *fs.Fuel) (*fs.Inode, []byte, error) {
	if number == 0 || number > f.groups*f.inodesPerGroup {
		return nil, nil, nil
	}
	g, i := (number-1)/f.inodesPerGroup, (number-1)%f.inodesPerGroup
	d, err := f.readGroup(g)
	if err != nil {
		return nil, nil, err
	}
	if d.inodeTable <= f.firstData || d.inodeTable+f.inodeTableBlocks() > f.blocks {
		return nil, nil, nil
	}
	at := int64(d.inodeTable)*f.block + int64(i)*f.inodeSize
	raw := make([]byte, f.inodeSize)
	if err := f.r.ReadAt(raw, at); err != nil {
		return nil, nil, fmt.Errorf("ext4 inode %d: %w", number, err)
	}
	ino, err := f.parseInode(number, raw, fs.Span{Off: at, Len: f.inodeSize}, fuel, false)
	return ino, raw, err
}

// parseInode returns nil for an inode that is not in use.
func (f *FileSystem) parseInode(number uint64, raw []byte, record fs.Span, fuel *fs.Fuel, nodesOnly bool) (*fs.Inode, error) {
	mode, links := le16(raw, 0x0), le16(raw, 0x1a)
	if mode == 0 || links == 0 || number == resizeInode {
		return nil, nil
	}
	ino := &fs.Inode{Number: number, Generation: uint64(le32(raw, 0x64)), Links: uint32(links), Record: record, Digest: xxh3.Hash(raw),
		Size: int64(uint64(le32(raw, 0x4)) | uint64(le32(raw, 0x6c))<<32), Modified: modified(raw)}
	if ino.Size < 0 {
		ino.Size = 0
	}
	switch mode >> 12 {
	case 0x8:
		ino.Type = fs.File
	case 0x4:
		ino.Type = fs.Dir
	case 0xa:
		ino.Type = fs.Symlink
	}
	flags, iblock := le32(raw, 0x20), raw[0x28:0x28+60]
	switch {
	case flags&flagInlineData != 0:
		ino.Inline = append(append(make([]byte, 0, len(raw)), iblock...), inlineRest(raw)...)
		ino.Partial = ino.Size > int64(len(ino.Inline))
		ino.Inline = ino.Inline[:min(int64(len(ino.Inline)), ino.Size)]
	case ino.Type == fs.Symlink && ino.Size < 60:
		ino.Inline = append([]byte(nil), iblock[:ino.Size]...)
	case ino.Type == fs.Other:
	default:
		w := &walk{f: f, ino: ino, fuel: fuel, skipLeaves: nodesOnly && ino.Type != fs.Dir}
		return ino, w.file(iblock, flags)
	}
	return ino, nil
}

// modified is the time of the last change of content, to nanoseconds where the inode has room for them.
func modified(raw []byte) time.Time {
	sec, nsec := int64(int32(le32(raw, 0x10))), int64(0)
	if len(raw) >= 0x8c && le16(raw, 0x80) >= 0x0c {
		extra := le32(raw, 0x88)
		sec += int64(extra&3) << 32
		nsec = int64(extra >> 2)
	}
	return time.Unix(sec, nsec)
}

// journalFile is the inode of the journal, or nil. Its blocks may be known from the superblock alone.
func (f *FileSystem) journalFile(fuel *fs.Fuel) (*fs.Inode, error) {
	if f.journalInode == 0 {
		return nil, nil
	}
	ino, raw, err := f.readInode(f.journalInode, fuel)
	if err != nil || raw == nil {
		return nil, err
	}
	if ino != nil && len(ino.Runs) > 0 {
		return ino, nil
	}
	backup := f.sb[0x10c : 0x10c+60]
	ino = &fs.Inode{Number: f.journalInode, Type: fs.File, Size: int64(le32(f.sb[:], 0x10c+64))}
	flags := uint32(0)
	if le16(backup, 0) == extentMagic {
		flags = flagExtents
	}
	return ino, (&walk{f: f, ino: ino, fuel: fuel}).file(backup, flags)
}
