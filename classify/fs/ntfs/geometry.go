package ntfs

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/weirstor/weir/classify/fs"
)

// Record numbers of the system files.
const (
	recordMFT     = 0
	recordMirror  = 1
	recordLog     = 2
	recordRoot    = 5
	recordBitmap  = 6
	recordFirst   = 24 // of users
	bootBytes     = 8 << 10
	maxListBytes  = 256 << 10 // of an attribute list
	maxExtensions = 512       // records of one file besides its base record
)

// FileSystem is an NTFS file system. It implements fs.FileSystem.
type FileSystem struct {
	r       fs.View
	size    int64
	cluster int64
	record  int64
	index   int64
	total   int64 // bytes of the volume as the boot sector says
	mft     []fs.Run
	records int64
}

var _ fs.FileSystem = (*FileSystem)(nil)

// Open looks for a file system at the start of r, which has size bytes. It returns nil without error if there is none.
func Open(r fs.View, size int64) (*FileSystem, error) {
	if size < 1<<20 {
		return nil, nil
	}
	var boot [512]byte
	if err := r.ReadAt(boot[:], 0); err != nil {
		return nil, fmt.Errorf("ntfs boot sector: %w", err)
	}
	f := &FileSystem{r: r, size: size}
	lcn, ok := f.parse(boot[:])
	if !ok {
		return nil, nil
	}
	ok, err := f.findMFT(lcn)
	if err != nil || !ok {
		return nil, err
	}
	return f, nil
}

// Kind implements fs.FileSystem.
func (f *FileSystem) Kind() string { return "ntfs" }

// Size implements fs.FileSystem.
func (f *FileSystem) Size() int64 { return f.total }

// Root implements fs.FileSystem.
func (f *FileSystem) Root() uint64 { return recordRoot }

// Reserved implements fs.FileSystem: the first 24 records, the root excepted.
func (f *FileSystem) Reserved(number uint64) bool {
	return number < recordFirst && number != recordRoot
}

// parse fills the geometry; it returns the cluster of $MFT, and whether all makes sense.
func (f *FileSystem) parse(boot []byte) (uint64, bool) {
	sector := int64(le16(boot, 0x0b))
	if string(boot[3:11]) != "NTFS    " || sector < 256 || sector > 4096 || bits.OnesCount64(uint64(sector)) != 1 {
		return 0, false
	}
	per := int64(boot[0x0d])
	if per > 0x80 {
		if per < 0xf0 {
			return 0, false
		}
		per = 1 << (256 - per)
	}
	f.cluster = sector * per
	f.record, f.index = f.unit(int8(boot[0x40])), f.unit(int8(boot[0x44]))
	sectors := le64(boot, 0x28)
	switch {
	case f.cluster == 0 || f.cluster > 2<<20 || bits.OnesCount64(uint64(f.cluster)) != 1:
		return 0, false
	case f.record < 512 || f.record > 64<<10 || bits.OnesCount64(uint64(f.record)) != 1:
		return 0, false
	case f.index < 512 || f.index > 64<<10 || bits.OnesCount64(uint64(f.index)) != 1:
		return 0, false
	case sectors == 0 || sectors > uint64(f.size/sector):
		return 0, false
	}
	f.total = int64(sectors) * sector
	return le64(boot, 0x30), true
}

// unit is a size that the boot sector gives in clusters, or, negative, as a power of two of bytes.
func (f *FileSystem) unit(n int8) int64 {
	if n >= 0 {
		return int64(n) * f.cluster
	}
	if n < -20 {
		return 0
	}
	return 1 << -n
}

// span is n clusters from lcn as bytes; its Len is 0 if they are out of place.
func (f *FileSystem) span(lcn, n uint64) fs.Span {
	clusters := uint64(f.total / f.cluster)
	if n == 0 || lcn >= clusters || n > clusters-lcn {
		return fs.Span{}
	}
	return fs.Span{Off: int64(lcn) * f.cluster, Len: int64(n) * f.cluster}
}

// findMFT reads record 0 at its cluster and learns from it where all records lie.
func (f *FileSystem) findMFT(lcn uint64) (bool, error) {
	s := f.span(lcn, 1)
	if s.Len == 0 {
		return false, nil
	}
	f.mft, f.records = []fs.Run{{File: 0, Off: s.Off, Len: max(s.Len, f.record)}}, 1
	raw, err := f.readRecord(recordMFT)
	if err != nil || raw == nil {
		return false, err
	}
	rec := &file{f: f, fuel: fs.NewFuel(maxExtensions), ino: &fs.Inode{}}
	rec.attributes(raw)
	if len(rec.data.runs) == 0 {
		return false, nil
	}
	f.learnMFT(rec.data)
	if rec.list == nil {
		return true, nil
	}
	// The table itself is in many pieces: the rest of its runs lies in other records.
	if err := rec.extensions(recordMFT); err != nil {
		return false, err
	}
	f.learnMFT(rec.data)
	return true, nil
}

// learnMFT takes over where the records lie. There are no more of them than its runs have room for.
func (f *FileSystem) learnMFT(s stream) {
	room := int64(0)
	for _, r := range s.runs {
		room += min(r.Len, f.total)
		if room >= s.size {
			break
		}
	}
	f.mft = s.runs
	f.records = min(s.size, room, f.total) / f.record
}

func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func le64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
