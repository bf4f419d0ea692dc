package codec

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/replicate/pack"
)

// fill is the share of the entries that are in use, 0 to 1.
func (x *index) fill() float64 {
	n := 0
	for _, e := range x.table {
		if e != 0 {
			n++
		}
	}
	return float64(n) / float64(len(x.table))
}

// TestEveryAlignment hides one sub-block of earlier content in other content, at every offset: its maximum must be
// among the anchors.
func TestEveryAlignment(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for sub := minSubBlock; sub <= maxSubBlock; sub *= 2 {
		block := make([]byte, sub)
		fill(rnd, block)
		want, at := gearMax(block)
		content := make([]byte, 3*sub)
		for off := 0; off <= 2*sub; off += 1 + rnd.IntN(sub/64) {
			fill(rnd, content)
			copy(content[off:], block)
			var x anchors
			x.start(0)
			x.search(content, 0, sub)
			if !slices.Contains(x.list, anchor{off + at, want}) {
				t.Fatalf("sub-block of %d bytes at %d is not among %d anchors", sub, off, len(x.list))
			}
		}
	}
}

// TestAnchorsOfRuns searches content that repeats: the number of anchors stays low.
func TestAnchorsOfRuns(t *testing.T) {
	for period := 1; period < 50; period++ {
		content := make([]byte, anchorStep)
		for i := range content {
			content[i] = byte(1 + i%period)
		}
		var x anchors
		x.start(0)
		x.search(content, 0, minSubBlock)
		if len(x.list) > anchorStep/gearBytes+1 {
			t.Errorf("period %d: %d anchors", period, len(x.list))
		}
	}
}

func TestLocations(t *testing.T) {
	const size = 100 << 20
	x := newIndex(1<<20, 2*size)
	if n := len(x.table) * entryBytes; n > 1<<20 {
		t.Errorf("the table has %d bytes", n)
	}
	seen := map[uint32]bool{}
	for _, v := range []byte{1, 2} {
		for off := int64(0); off < size; off += int64(x.sub) * 777 {
			loc, ok := x.location(volumeID(v), off)
			if !ok || loc == 0 || seen[loc] {
				t.Fatalf("volume %d at %d: location %d, %v", v, off, loc, ok)
			}
			seen[loc] = true
			if id, at := x.place(loc); id != volumeID(v) || at != off {
				t.Fatalf("location %d is %v at %d, want %d", loc, id, at, off)
			}
		}
	}
	if !x.fits(2*size, 2) || x.fits(1<<45, 2) {
		t.Error("the index does not know what fits")
	}
	for off := int64(0); ; off += int64(x.sub) * slotSubBlocks {
		if _, ok := x.location(volumeID(9), off); !ok {
			break
		}
		if off > 1<<40 {
			t.Fatal("locations never end")
		}
	}
}

// TestLatestEntriesStay fills one bucket: the latest entries are found, the latest first.
func TestLatestEntriesStay(t *testing.T) {
	x := newIndex(1<<20, 1<<30)
	const h = 12345
	for loc := uint32(1); loc <= 10; loc++ {
		x.insert(h, loc)
	}
	x.insert(h, 8)
	if got := x.lookup(h, nil); !slices.Equal(got, []uint32{8, 10, 9, 7}) {
		t.Errorf("lookup gives %v", got)
	}
	if got := x.lookup(h+1, nil); len(got) > 0 {
		t.Errorf("another hash gives %v", got)
	}
}

// TestIndexOverEpochs moves content from volume to volume: what one epoch brought serves the next after Accept, and
// not after Forget.
func TestIndexOverEpochs(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	const size = 1 << 20
	a, b := make([]byte, size), make([]byte, size)
	content := make([]byte, 300<<10)
	fill(rnd, content)
	for _, accept := range []bool{false, true} {
		e := NewEncoder(Options{WarmBytes: -1})
		withA := slices.Clone(a)
		copy(withA[4096:], content)
		epochOf := func(oldA, newA, oldB, newB []byte, xa, xb []Extent) int {
			n := 0
			_, err := e.Encode(context.Background(), []VolumeChange{
				{Volume: volumeID(1), Size: size, Extents: xa, Old: memView(oldA), New: memView(newA)},
				{Volume: volumeID(2), Size: size, Extents: xb, Old: memView(oldB), New: memView(newB)},
			}, func(p pack.Pack) error { n += len(p.Bytes); return nil })
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := epochOf(a, withA, b, b, []Extent{{Off: 4096, Len: 300 << 10}}, nil); n < 300<<10 {
			t.Fatalf("%d bytes for 300 KiB of random bytes", n)
		}
		if accept {
			e.Accept()
		} else {
			e.Forget()
		}
		withB := slices.Clone(b)
		copy(withB[100001:], content) // another volume, another alignment
		n := epochOf(withA, withA, b, withB, nil, []Extent{{Off: 100001, Len: 300 << 10}})
		if accept != (n < 1000) {
			t.Errorf("accepted %v: %d bytes for a copy in another volume; the index is %.3f full", accept, n, e.index.fill())
		}
	}
}

// TestIndexOutgrown lets the volumes grow beyond the address space of the index: it starts over, and goes on.
func TestIndexOutgrown(t *testing.T) {
	e := NewEncoder(Options{IndexBytes: 64 << 10})
	for _, size := range []int64{1 << 20, 1 << 34, 1 << 44} {
		ch := []VolumeChange{{Volume: volumeID(1), Size: size, Extents: []Extent{{Off: size - 4096, Len: 4096}}, Old: memView(nil),
			New: tailView(size)}}
		if _, packs := encodeAll(t, e, ch); len(packs) != 1 {
			t.Fatalf("size %d: %d packs", size, len(packs))
		}
		e.Accept()
	}
}

// tailView is a volume of so many bytes, the last of which is 1.
type tailView int64

func (v tailView) ReadAt(p []byte, off int64) error {
	clear(p)
	if at := int64(v) - 1 - off; at >= 0 && at < int64(len(p)) {
		p[at] = 1
	}
	return nil
}
