package xfs

import (
	"slices"

	"github.com/weirstor/weir/classify/fs"
)

// bmap finds the blocks of a file (struct xfs_bmbt_rec and the long form of struct xfs_btree_block).
type bmap struct {
	f    *FileSystem
	ino  *fs.Inode
	fuel *fs.Fuel
}

// records notes n extents. An unwritten extent is no content.
func (w *bmap) records(b []byte, n int) {
	for i := range min(n, len(b)/16) {
		hi, lo := be64(b, 16*i), be64(b, 16*i+8)
		if hi>>63 != 0 {
			continue
		}
		s := w.f.fsSpan(hi&0x1ff<<43|lo>>21, lo&(1<<21-1))
		if s.Len == 0 {
			w.ino.Partial = true
			continue
		}
		if len(w.ino.Runs) >= fs.MaxRuns {
			w.ino.Partial = true
			return
		}
		w.ino.Runs = append(w.ino.Runs, fs.Run{File: int64(hi&(1<<63-1)>>9) * w.f.block, Off: s.Off, Len: s.Len})
	}
}

// root walks the tree whose root lies in the inode (struct xfs_bmdr_block).
func (w *bmap) root(fork []byte) error {
	if len(fork) < 20 {
		return nil
	}
	level, n := int(be16(fork, 0)), int(be16(fork, 2))
	most := (len(fork) - 4) / 16
	for i := range min(n, most) {
		if err := w.node(be64(fork, 4+8*most+8*i), level-1); err != nil {
			return err
		}
	}
	slices.SortFunc(w.ino.Runs, func(a, b fs.Run) int {
		if a.File < b.File {
			return -1
		}
		return 1
	})
	return nil
}

func (w *bmap) header() int {
	if w.f.v5 {
		return 72
	}
	return 24
}

func (w *bmap) node(block uint64, level int) error {
	span := w.f.fsSpan(block, 1)
	if span.Len == 0 || level < 0 || level >= maxDepth {
		return nil
	}
	if !w.fuel.Use(1) {
		w.ino.Partial = true
		return nil
	}
	b, err := w.f.read(span)
	if err != nil {
		return err
	}
	magic := "BMAP"
	if w.f.v5 {
		magic = "BMA3"
	}
	if string(b[:4]) != magic || int(be16(b, 4)) != level {
		w.ino.Partial = true
		return nil
	}
	w.ino.Nodes = append(w.ino.Nodes, span)
	n, body := int(be16(b, 6)), b[w.header():]
	if level == 0 {
		w.records(body, n)
		return nil
	}
	most := len(body) / 16
	for i := range min(n, most) {
		if err := w.node(be64(body, 8*most+8*i), level-1); err != nil {
			return err
		}
	}
	return nil
}
