package ext4

import (
	"fmt"

	"github.com/weirstor/weir/classify/fs"
)

// maxDirBytes bounds what is read of one directory.
const maxDirBytes = 256 << 20

// ReadDir implements fs.FileSystem ("Directory Entries"). The inner blocks of a hashed directory look like unused
// entries, so hashed and linear ones are read alike.
func (f *FileSystem) ReadDir(dir *fs.Inode, visit func(name []byte, child uint64) bool) error {
	if dir.Type != fs.Dir {
		return nil
	}
	if n := min(len(dir.Inline), 60); n > 4 && (!f.entries(dir.Inline[4:n], visit) || !f.entries(dir.Inline[n:], visit)) {
		return nil
	}
	block := make([]byte, f.block)
	left := int64(maxDirBytes)
	for _, run := range dir.Runs {
		for at := int64(0); at < run.Len && left > 0; at += f.block {
			left -= f.block
			if err := f.r.ReadAt(block, run.Off+at); err != nil {
				return fmt.Errorf("ext4 directory %d: %w", dir.Number, err)
			}
			if !f.entries(block, visit) {
				return nil
			}
		}
	}
	return nil
}

// entries visits the entries of one block; false means that visit wants no more.
func (f *FileSystem) entries(b []byte, visit func(name []byte, child uint64) bool) bool {
	for len(b) >= 8 {
		length, name := int(le16(b, 4)), int(b[6])
		if f.block > 32<<10 && (length == 0xffff || length == 0) {
			length = len(b)
		}
		if !f.filetype {
			name = int(le16(b, 6))
		}
		if length < 8 || length%4 != 0 || length > len(b) || name > length-8 {
			return true
		}
		if child := uint64(le32(b, 0)); child != 0 && name > 0 && !isDot(b[8:8+name]) && child <= f.groups*f.inodesPerGroup {
			if !visit(b[8:8+name], child) {
				return false
			}
		}
		b = b[length:]
	}
	return true
}

func isDot(name []byte) bool { return string(name) == "." || string(name) == ".." }
