package ntfs

import (
	"fmt"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/weirstor/weir/classify/fs"
)

const (
	flagInUse     = 1
	flagDirectory = 2
)

// Inodes implements fs.FileSystem. Extension records are part of the file that they belong to.
func (f *FileSystem) Inodes(visit func(*fs.Inode) bool) error {
	fuel := fs.NewFuel(2 * f.records)
	for n := range f.records {
		ino, err := f.inode(uint64(n), fuel)
		if err != nil {
			return err
		}
		if ino != nil && !visit(ino) {
			return nil
		}
	}
	return nil
}

// inode returns file record n, nil if it is not one in use.
func (f *FileSystem) inode(n uint64, fuel *fs.Fuel) (*fs.Inode, error) {
	raw, err := f.readRecord(n)
	if err != nil || raw == nil {
		return nil, err
	}
	flags := le16(raw, 0x16)
	if flags&flagInUse == 0 || le64(raw, 0x20)&(1<<48-1) != 0 {
		return nil, nil
	}
	ino := &fs.Inode{Number: n, Generation: uint64(le16(raw, 0x10)), Links: uint32(le16(raw, 0x12)), Type: fs.File, Digest: xxh3.Hash(raw)}
	if flags&flagDirectory != 0 {
		ino.Type = fs.Dir
	}
	off, _ := place(f.mft, int64(n)*f.record)
	ino.Record = fs.Span{Off: off, Len: f.record}
	rec := &file{f: f, ino: ino, fuel: fuel}
	rec.attributes(raw)
	if err := rec.extensions(n); err != nil {
		return nil, err
	}
	content := rec.data
	if ino.Type == fs.Dir {
		content = rec.entries
		ino.Inline = rec.root
	} else {
		ino.Inline = content.inline
	}
	ino.Runs, ino.Size = content.runs, content.size
	return ino, nil
}

// place is where an offset of a file lies, and how many bytes follow in a row.
func place(runs []fs.Run, at int64) (off, n int64) {
	for _, r := range runs {
		if at >= r.File && at < r.File+r.Len {
			return r.Off + at - r.File, r.File + r.Len - at
		}
	}
	return 0, 0
}

// readRecord reads file record n with its fixups applied; nil if it is out of place or damaged.
func (f *FileSystem) readRecord(n uint64) ([]byte, error) {
	if int64(n) >= f.records || int64(n) < 0 {
		return nil, nil
	}
	off, left := place(f.mft, int64(n)*f.record)
	if left < f.record {
		return nil, nil
	}
	raw := make([]byte, f.record)
	if err := f.r.ReadAt(raw, off); err != nil {
		return nil, fmt.Errorf("ntfs file record %d: %w", n, err)
	}
	if !fixup(raw, "FILE") {
		return nil, nil
	}
	return raw, nil
}

// fixup puts back the last two bytes of each sector, which an update sequence array keeps; false if the record does not
// begin with magic or was torn.
func fixup(b []byte, magic string) bool {
	const sector = 512
	if string(b[:4]) != magic {
		return false
	}
	at, n := int(le16(b, 4)), int(le16(b, 6))
	if n < 1 || at < 0x20 || at+2*n > len(b) || n-1 > len(b)/sector {
		return false
	}
	mark := le16(b, at)
	for i := 1; i < n; i++ {
		end := i*sector - 2
		if le16(b, end) != mark {
			return false
		}
		b[end], b[end+1] = b[at+2*i], b[at+2*i+1]
	}
	return true
}

// fileTime is a time in units of 100 ns since 1601.
func fileTime(t uint64) time.Time {
	const epoch = 116444736000000000
	if t < epoch || t-epoch > 1<<62 {
		return time.Time{}
	}
	t -= epoch
	return time.Unix(int64(t/1e7), int64(t%1e7)*100)
}
