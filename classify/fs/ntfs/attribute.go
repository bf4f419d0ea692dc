package ntfs

import (
	"fmt"

	"github.com/weirstor/weir/classify/fs"
)

// Attribute types.
const (
	attrStandard = 0x10
	attrList     = 0x20
	attrData     = 0x80
	attrRoot     = 0x90
	attrIndex    = 0xa0
	attrBitmap   = 0xb0
	attrEnd      = 0xffffffff
)

// maxFileBytes bounds where in a file a run lies: twice that is a number of 63 bits still.
const maxFileBytes = 1 << 61

// file collects the attributes of a file from its records.
type file struct {
	f       *FileSystem
	fuel    *fs.Fuel
	ino     *fs.Inode
	data    stream // the stream without a name
	entries stream // index allocation of a directory
	bitmap  stream
	root    []byte // index root of a directory
	list    []byte // attribute list
}

// stream is the content of an attribute.
type stream struct {
	size   int64
	runs   []fs.Run
	inline []byte
}

// attributes walks the attributes of one record.
func (w *file) attributes(raw []byte) {
	at, end := int(le16(raw, 0x14)), min(int(le32(raw, 0x18)), len(raw))
	for at+24 <= end {
		kind, n := le32(raw, at), int(le32(raw, at+4))
		if kind == attrEnd || n < 24 || n > end-at {
			return
		}
		w.attribute(kind, raw[at:at+n])
		at += n
	}
}

func (w *file) attribute(kind uint32, a []byte) {
	named := a[9] != 0
	switch kind {
	case attrStandard:
		if v := resident(a); len(v) >= 16 {
			w.ino.Modified = fileTime(le64(v, 8))
		}
	case attrList:
		var s stream
		w.f.content(a, &s)
		w.list = s.inline
		if w.list == nil {
			w.list = w.f.readAll(s)
		}
	case attrData:
		if !named {
			w.f.content(a, &w.data)
		}
	case attrRoot:
		w.root = resident(a)
	case attrIndex:
		w.f.content(a, &w.entries)
	case attrBitmap:
		w.f.content(a, &w.bitmap)
	}
}

// resident is the value of an attribute that lies in its record, nil if it does not.
func resident(a []byte) []byte {
	n, at := int64(le32(a, 16)), int64(le16(a, 20))
	if a[8] != 0 || n < 0 || at+n > int64(len(a)) {
		return nil
	}
	return a[at : at+n]
}

// content adds what an attribute says of a stream; a stream in pieces comes in several.
func (f *FileSystem) content(a []byte, s *stream) {
	if a[8] == 0 {
		s.inline = resident(a)
		s.size = int64(len(s.inline))
		return
	}
	if len(a) < 64 {
		return
	}
	first := le64(a, 16)
	if first == 0 {
		s.size = int64(min(le64(a, 48), 1<<62))
	}
	if at := int(le16(a, 32)); at >= 64 && at < len(a) {
		f.runs(a[at:], first, s)
	}
}

// runs decodes a run list: per run a byte with the widths of length and offset, then both; the offset counts from the run
// before it, and a run without one is sparse. Runs beyond what a file can have are left out.
func (f *FileSystem) runs(b []byte, vcn uint64, s *stream) {
	lcn, limit := int64(0), uint64(maxFileBytes/f.cluster)
	for len(b) > 0 && b[0] != 0 && len(s.runs) < fs.MaxRuns {
		wide, offset := int(b[0]&15), int(b[0]>>4)
		if wide == 0 || wide > 8 || offset > 8 || 1+wide+offset > len(b) {
			return
		}
		n := number(b[1:1+wide], false)
		if n <= 0 || uint64(n) > limit || vcn > limit {
			return
		}
		if offset > 0 {
			lcn += number(b[1+wide:1+wide+offset], true)
			if span := f.span(uint64(lcn), uint64(n)); span.Len > 0 {
				s.runs = append(s.runs, fs.Run{File: int64(vcn) * f.cluster, Off: span.Off, Len: span.Len})
			}
		}
		vcn += uint64(n)
		b = b[1+wide+offset:]
	}
}

// number is a little-endian number of any width.
func number(b []byte, signed bool) int64 {
	v := int64(0)
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | int64(b[i])
	}
	if signed && len(b) < 8 && b[len(b)-1]&0x80 != 0 {
		v -= 1 << (8 * len(b))
	}
	return v
}

// readAll reads a small stream; nil if it is too large or can not be read.
func (f *FileSystem) readAll(s stream) []byte {
	if s.size <= 0 || s.size > maxListBytes {
		return nil
	}
	b := make([]byte, s.size)
	for _, r := range s.runs {
		if r.File >= s.size {
			break
		}
		if err := f.r.ReadAt(b[r.File:min(s.size, r.File+r.Len)], r.Off); err != nil {
			return nil
		}
	}
	return b
}

// extensions reads the records that the attribute list of file n names besides its base record.
func (w *file) extensions(n uint64) error {
	list, seen := w.list, map[uint64]bool{n: true}
	for len(list) >= 24 && len(seen) < maxExtensions {
		size := int(le16(list, 4))
		if size < 24 || size > len(list) {
			return nil
		}
		other := le64(list, 16) & (1<<48 - 1)
		list = list[size:]
		if seen[other] {
			continue
		}
		if !w.fuel.Use(1) {
			w.ino.Partial = true
			return nil
		}
		seen[other] = true
		raw, err := w.f.readRecord(other)
		if err != nil {
			return fmt.Errorf("extension of file %d: %w", n, err)
		}
		if raw != nil && le64(raw, 0x20)&(1<<48-1) == n {
			w.attributes(raw)
		}
	}
	return nil
}
