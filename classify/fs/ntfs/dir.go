package ntfs

import (
	"fmt"
	"unicode/utf16"

	"github.com/weirstor/weir/classify/fs"
)

const (
	namespaceDOS = 2 // the short name beside a long one
	entryLast    = 2
	maxDirBytes  = 256 << 20
)

// ReadDir implements fs.FileSystem. Names come as UTF-8.
func (f *FileSystem) ReadDir(dir *fs.Inode, visit func(name []byte, child uint64) bool) error {
	if dir.Type != fs.Dir {
		return nil
	}
	if len(dir.Inline) > 32 && !entries(dir.Inline[16:], visit) {
		return nil
	}
	block, left := make([]byte, f.index), int64(maxDirBytes)
	for _, r := range dir.Runs {
		for at := int64(0); at+f.index <= r.Len && r.File+at < dir.Size && left > 0; at += f.index {
			left -= f.index
			if err := f.r.ReadAt(block, r.Off+at); err != nil {
				return fmt.Errorf("ntfs directory %d: %w", dir.Number, err)
			}
			if fixup(block, "INDX") && !entries(block[24:], visit) {
				return nil
			}
		}
	}
	return nil
}

// entries visits the entries behind an index header; false means that visit wants no more.
func entries(b []byte, visit func(name []byte, child uint64) bool) bool {
	at, end := int(le32(b, 0)), min(int(le32(b, 4)), len(b))
	for at >= 16 && at+16 <= end {
		n, key := int(le16(b, at+8)), int(le16(b, at+10))
		if n < 16 || n > end-at || le32(b, at+12)&entryLast != 0 {
			return true
		}
		if name := fileName(b[at+16 : at+max(16, min(n, 16+key))]); name != "" && name != "." {
			if !visit([]byte(name), le64(b, at)&(1<<48-1)) {
				return false
			}
		}
		at += n
	}
	return true
}

// fileName is the name in a $FILE_NAME attribute, "" for a short name beside a long one.
func fileName(b []byte) string {
	if len(b) < 0x42 || b[0x41] == namespaceDOS {
		return ""
	}
	n := int(b[0x40])
	if 0x42+2*n > len(b) {
		return ""
	}
	units := make([]uint16, n)
	for i := range units {
		units[i] = le16(b, 0x42+2*i)
	}
	return string(utf16.Decode(units))
}
