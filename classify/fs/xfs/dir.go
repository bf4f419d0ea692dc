package xfs

import (
	"fmt"

	"github.com/weirstor/weir/classify/fs"
)

const (
	dirDataEnd  = 32 << 30 // offset in a directory at which its index begins (XFS_DIR2_LEAF_OFFSET)
	maxDirBytes = 256 << 20
)

// ReadDir implements fs.FileSystem.
func (f *FileSystem) ReadDir(dir *fs.Inode, visit func(name []byte, child uint64) bool) error {
	if dir.Type != fs.Dir {
		return nil
	}
	if dir.Inline != nil {
		f.short(dir.Inline, visit)
		return nil
	}
	block, left, next := make([]byte, f.dirBlock), int64(maxDirBytes), int64(0)
	for _, r := range dir.Runs {
		for at := max(next, r.File/f.dirBlock*f.dirBlock); at < min(r.File+r.Len, dirDataEnd) && left > 0; at = next {
			next, left = at+f.dirBlock, left-f.dirBlock
			if err := f.readDirBlock(dir, at, block); err != nil {
				return err
			}
			if !f.entries(block, visit) {
				return nil
			}
		}
	}
	return nil
}

// readDirBlock reads the directory block at an offset of the content; it may lie in pieces.
func (f *FileSystem) readDirBlock(dir *fs.Inode, at int64, b []byte) error {
	clear(b)
	for _, r := range dir.Runs {
		from, to := max(at, r.File), min(at+int64(len(b)), r.File+r.Len)
		if from >= to {
			continue
		}
		if err := f.r.ReadAt(b[from-at:to-at], r.Off+from-r.File); err != nil {
			return fmt.Errorf("xfs directory %d: %w", dir.Number, err)
		}
	}
	return nil
}

// entries visits the entries of a data block (struct xfs_dir3_data_hdr, xfs_dir2_data_entry); false means that visit
// wants no more.
func (f *FileSystem) entries(b []byte, visit func(name []byte, child uint64) bool) bool {
	at, end := 16, len(b)
	switch string(b[:4]) {
	case "XDB3", "XD2B":
		tail := be32(b, len(b)-8)
		if uint64(tail) > uint64(len(b)/8) {
			return true
		}
		end -= 8 + 8*int(tail)
	case "XDD3", "XD2D":
	default:
		return true
	}
	if b[3] == '3' {
		at = 64
	}
	for at+12 <= end {
		if be16(b, at) == 0xffff {
			n := int(be16(b, at+2))
			if n < 8 {
				return true
			}
			at += n
			continue
		}
		name := int(b[at+8])
		n := 8 + 1 + name + 2
		if f.ftype {
			n++
		}
		if name == 0 || at+n > end {
			return true
		}
		s := b[at+9 : at+9+name]
		if string(s) != "." && string(s) != ".." && !visit(s, be64(b, at)) {
			return false
		}
		at += (n + 7) &^ 7
	}
	return true
}

// short visits the entries of a directory that lies in its inode (struct xfs_dir2_sf_hdr).
func (f *FileSystem) short(b []byte, visit func(name []byte, child uint64) bool) {
	if len(b) < 6 {
		return
	}
	n, wide, at := int(b[0]), b[1] != 0, 6
	if wide {
		n, at = max(n, int(b[1])), 10
	}
	for range n {
		if at >= len(b) {
			return
		}
		name := int(b[at])
		end := at + 3 + name
		if f.ftype {
			end++
		}
		width := 4
		if wide {
			width = 8
		}
		if name == 0 || end+width > len(b) {
			return
		}
		child := uint64(be32(b, end))
		if wide {
			child = be64(b, end)
		}
		if !visit(b[at+3:at+3+name], child) {
			return
		}
		at = end + width
	}
}
