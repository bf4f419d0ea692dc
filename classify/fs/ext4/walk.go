package ext4

import (
	"fmt"

	"github.com/weirstor/weir/classify/fs"
)

const extentMagic = 0xf30a

// walk finds the blocks of a file.
type walk struct {
	f          *FileSystem
	ino        *fs.Inode
	fuel       *fs.Fuel
	skipLeaves bool // do not report content that the inode itself points to: only tree blocks are wanted
}

// file fills Runs and Nodes from the 60 bytes of i_block.
func (w *walk) file(iblock []byte, flags uint32) error {
	if flags&flagExtents != 0 {
		return w.extents(iblock, maxExtDepth)
	}
	return w.blockMap(iblock)
}

// run notes n blocks of content.
func (w *walk) run(file, block, n uint64) {
	s := w.f.span(block, n)
	if s.Len == 0 || w.skipLeaves {
		return
	}
	r := fs.Run{File: int64(file) * w.f.block, Off: s.Off, Len: s.Len}
	runs := w.ino.Runs
	if last := len(runs) - 1; last >= 0 && runs[last].File+runs[last].Len == r.File && runs[last].Off+runs[last].Len == r.Off {
		runs[last].Len += r.Len
		return
	}
	if len(runs) >= fs.MaxRuns {
		w.ino.Partial = true
		return
	}
	w.ino.Runs = append(runs, r)
}

// extents walks an extent tree node ("Extent Tree"). Depth only falls, fuel only falls.
func (w *walk) extents(node []byte, depth int) error {
	if len(node) < 12 || le16(node, 0) != extentMagic || int(le16(node, 6)) > depth {
		return nil
	}
	n := min(int(le16(node, 2)), len(node)/12-1)
	below := int(le16(node, 6)) - 1
	for i := range n {
		e := node[12+12*i:]
		if below < 0 {
			w.extent(e)
			continue
		}
		child, err := w.node(uint64(le16(e, 8))<<32 | uint64(le32(e, 4)))
		if err != nil {
			return err
		}
		if err := w.extents(child, below); err != nil {
			return err
		}
	}
	return nil
}

// extent notes a leaf entry; lengths above 32768 say that the extent was not written yet.
func (w *walk) extent(e []byte) {
	n, file := uint64(le16(e, 4)), uint64(le32(e, 0))
	block := uint64(le16(e, 6))<<32 | uint64(le32(e, 8))
	if n > 32768 {
		if w.ino.Number == w.f.journalInode {
			w.run(file, block, n-32768)
		}
		return
	}
	w.run(file, block, n)
}

// blockMap walks the direct and indirect blocks of an inode without extents ("Direct/Indirect Block Addressing").
func (w *walk) blockMap(iblock []byte) error {
	if len(iblock) < 60 {
		return nil
	}
	for i := range uint64(12) {
		w.run(i, uint64(le32(iblock, int(4*i))), min(1, uint64(le32(iblock, int(4*i)))))
	}
	file, per := uint64(12), uint64(w.f.block/4)
	for level := 1; level <= 3; level++ {
		if err := w.indirect(uint64(le32(iblock, 4*(11+level))), file, level); err != nil {
			return err
		}
		room := per
		for range level - 1 {
			room *= per
		}
		file += room
	}
	return nil
}

// indirect walks the block map below block, which begins at block number file of the content.
func (w *walk) indirect(block, file uint64, level int) error {
	if block == 0 {
		return nil
	}
	if level == 0 {
		w.run(file, block, 1)
		return nil
	}
	node, err := w.node(block)
	if err != nil {
		return err
	}
	room := uint64(1)
	for range level - 1 {
		room *= uint64(w.f.block / 4)
	}
	for at := 0; at+4 <= len(node); at += 4 {
		if err := w.indirect(uint64(le32(node, at)), file+uint64(at/4)*room, level-1); err != nil {
			return err
		}
	}
	return nil
}

// node notes and reads a tree block; it returns nothing when the block is out of place or enough was read.
func (w *walk) node(block uint64) ([]byte, error) {
	if !w.f.inTree(block) {
		return nil, nil
	}
	if !w.fuel.Use(1) {
		w.ino.Partial = true
		return nil, nil
	}
	w.ino.Nodes = append(w.ino.Nodes, w.f.span(block, 1))
	b := make([]byte, w.f.block)
	if err := w.f.r.ReadAt(b, int64(block)*w.f.block); err != nil {
		return nil, fmt.Errorf("ext4 tree block %d of inode %d: %w", block, w.ino.Number, err)
	}
	return b, nil
}
