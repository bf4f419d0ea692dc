package classify

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// memView is content in memory; beyond it there are zeroes.
type memView []byte

func (m memView) ReadAt(p []byte, off int64) error {
	n := 0
	if off >= 0 && off < int64(len(m)) {
		n = copy(p, m[off:])
	}
	clear(p[n:])
	return nil
}

// shifted is a view within another, at off, over a head of its own.
type shifted struct {
	head []byte
	off  int64
	View
}

func (s shifted) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	if end := off + int64(len(p)); end > s.off {
		skip := max(0, s.off-off)
		return s.View.ReadAt(p[skip:], max(0, off-s.off))
	}
	return nil
}

// TestMapAgainstModel builds maps from random spans: at each byte the latest span that covers it must win.
func TestMapAgainstModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const size = 200
		b, model := &builder{size: size}, [size]Region{}
		for range rapid.IntRange(0, 20).Draw(r, "spans") {
			off, n := rapid.Int64Range(-5, size+5).Draw(r, "off"), rapid.Int64Range(-2, size).Draw(r, "n")
			kind := Region(rapid.IntRange(1, NumRegions-1).Draw(r, "kind"))
			b.add(off, n, kind)
			for i := off; off >= 0 && i < min(size, off+n); i++ {
				model[i] = kind
			}
		}
		m := b.build("x")
		for off := int64(0); off < size; {
			kind, end := m.RegionAt(off)
			if end <= off {
				r.Fatalf("region at %d ends at %d", off, end)
			}
			for ; off < min(end, size); off++ {
				if model[off] != kind {
					r.Fatalf("byte %d is %v, want %v", off, kind, model[off])
				}
			}
		}
		if kind, end := m.RegionAt(size + 1); kind != Unknown || end != math.MaxInt64 {
			r.Fatalf("beyond the volume: %v up to %d", kind, end)
		}
	})
}

func TestNilMap(t *testing.T) {
	var m *Map
	if kind, end := m.RegionAt(5); kind != Unknown || end != math.MaxInt64 || m.FileSystem() != "" {
		t.Errorf("a nil map says %v up to %d", kind, end)
	}
}

// gpt returns a primary table with one partition of n sectors at first.
func gpt(sector int, first, n uint64) []byte {
	b := make([]byte, 34*sector)
	b[510], b[511] = 0x55, 0xaa
	b[446+4] = 0xee
	binary.LittleEndian.PutUint32(b[446+8:], 1)
	binary.LittleEndian.PutUint32(b[446+12:], math.MaxUint32)
	h := b[sector:]
	copy(h, "EFI PART")
	binary.LittleEndian.PutUint32(h[12:], 92)
	binary.LittleEndian.PutUint64(h[72:], 2)
	binary.LittleEndian.PutUint32(h[80:], 128)
	binary.LittleEndian.PutUint32(h[84:], 128)
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
	e := b[2*sector:]
	e[0] = 1
	binary.LittleEndian.PutUint64(e[32:], first)
	binary.LittleEndian.PutUint64(e[40:], first+n-1)
	return b
}

// mbr returns a boot record with the given partition in entry i.
func mbr(b []byte, i int, kind byte, first, n uint32) []byte {
	if b == nil {
		b = make([]byte, 512)
		b[510], b[511] = 0x55, 0xaa
	}
	e := b[446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], first)
	binary.LittleEndian.PutUint32(e[12:], n)
	return b
}

func TestPartitions(t *testing.T) {
	const off, size = 1 << 20, 64 << 20
	path, view := image(t, size, "-b", "4096")
	block, kinds := wanted(t, path)
	logical := make([]byte, 4096)
	copy(logical, mbr(mbr(nil, 0, 0x83, 9999, 1), 2, 0x0f, 4, 1<<20))
	copy(logical[2048:], mbr(nil, 0, 0x83, off/512-4, size/512))
	for _, c := range []struct {
		name string
		head []byte
	}{
		{"mbr: ext4", mbr(nil, 1, 0x83, off/512, size/512)},
		{"mbr: ext4", logical},
		{"gpt: ext4", gpt(512, off/512, size/512)},
		{"gpt: ext4", gpt(4096, off/4096, size/4096)},
		{"gpt: ext4", gpt(512, off/512, 1<<62)},
	} {
		m, err := ReadMap(shifted{c.head, off, view}, off+size+4096)
		if err != nil {
			t.Fatal(err)
		}
		if m.FileSystem() != c.name {
			t.Errorf("%s: recognised as %q", c.name, m.FileSystem())
		}
		if kind, _ := m.RegionAt(0); kind != PartitionTable {
			t.Errorf("%s: the first byte is %v", c.name, kind)
		}
		checkKinds(t, m, off, block, kinds)
	}
}

// TestEndlessLogicalPartitions has extended boot records that point at each other.
func TestEndlessLogicalPartitions(t *testing.T) {
	b := make([]byte, 64<<10)
	copy(b, mbr(nil, 0, 0x05, 8, 100))
	copy(b[8*512:], mbr(mbr(nil, 0, 0x83, 1, 1), 1, 0x05, 8, 1))
	copy(b[16*512:], mbr(mbr(nil, 0, 0x83, 1, 1), 1, 0x05, 8, 1))
	if _, err := ReadMap(memView(b), int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

type brokenView struct{}

func (brokenView) ReadAt([]byte, int64) error { return io.ErrUnexpectedEOF }

func TestReadErrorIsReported(t *testing.T) {
	if _, err := ReadMap(brokenView{}, 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error is %v", err)
	}
}

func TestNothingKnown(t *testing.T) {
	m, err := ReadMap(memView(strings.Repeat("x", 100000)), 100000)
	if err != nil || m.FileSystem() != "" {
		t.Fatalf("%q, %v", m.FileSystem(), err)
	}
	if kind, _ := m.RegionAt(1024); kind != Unknown {
		t.Errorf("kind is %v", kind)
	}
}

// FuzzReadMap changes the metadata of real file systems: ReadMap must neither panic nor fail nor lose its bounds.
func FuzzReadMap(f *testing.F) {
	const size = 8 << 20
	for _, args := range [][]string{{"-b", "1024"}, {"-b", "1024", "-O", "meta_bg,^resize_inode", "-g", "256"}, {"-b", "1024", "-O", "^extent,^64bit"}} {
		path, _ := image(f, size, args...)
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:256<<10])
	}
	f.Add(gpt(512, 100, 1000))
	f.Add(mbr(nil, 0, 0x05, 1, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range []int64{int64(len(b)), size, 1 << 45} {
			m, err := ReadMap(memView(b), n)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.start) > 2*maxSpans+2 || len(m.start) != len(m.kind) {
				t.Fatalf("%d boundaries", len(m.start))
			}
			for i := 1; i < len(m.start); i++ {
				if m.start[i] <= m.start[i-1] || m.start[i] > n {
					t.Fatalf("boundary %d at %d behind %d of %d", i, m.start[i], m.start[i-1], n)
				}
			}
		}
	})
}

func BenchmarkRegionAt(b *testing.B) {
	bld := &builder{size: 1 << 40}
	for i := range int64(8192) {
		bld.add(i<<27, 1<<20, InodeTable)
	}
	m := bld.build("x")
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		m.RegionAt(i * 7919 << 12 & (1<<40 - 1))
	}
}
