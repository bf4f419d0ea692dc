package codec

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/replicate/pack"
)

// holedView can not be read within [lo, hi).
type holedView struct {
	View
	lo, hi int64
}

func (v holedView) ReadAt(p []byte, off int64) error {
	if off < v.hi && off+int64(len(p)) > v.lo {
		return io.ErrUnexpectedEOF
	}
	return v.View.ReadAt(p, off)
}

func discard(pack.Pack) error { return nil }

// TestUnreadableSources copies content whose source has become unreadable: it must travel as it is. Damage beneath the
// write itself is an error.
func TestUnreadableSources(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	old := make([]byte, 1<<20)
	fill(rnd, old[:256<<10])
	new := slices.Clone(old)
	copy(new[512<<10:], old[64<<10:128<<10])
	e := NewEncoder(Options{})
	ch := []VolumeChange{{Volume: volumeID(1), Size: 1 << 20, Extents: []Extent{{Off: 512 << 10, Len: 64 << 10}},
		Old: memView(old), New: memView(new)}}
	if _, packs := encodeAll(t, e, ch); len(packs[0]) > 1000 {
		t.Fatalf("%d bytes for a copy", len(packs[0]))
	}
	ch[0].Old = holedView{memView(old), 60 << 10, 140 << 10}
	if _, packs := encodeAll(t, e, ch); len(packs[0]) < 64<<10 {
		t.Fatalf("%d bytes for a copy of what can not be read", len(packs[0]))
	}
	if _, packs := encodeAll(t, NewEncoder(Options{}), ch); len(packs[0]) < 64<<10 {
		t.Fatalf("%d bytes with a new encoder", len(packs[0]))
	}
	ch[0].Old = holedView{memView(old), 520 << 10, 521 << 10}
	if _, err := e.Encode(context.Background(), ch, discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("old content beneath can not be read: %v", err)
	}
	ch[0].Old, ch[0].New = memView(old), holedView{memView(new), 520 << 10, 521 << 10}
	if _, err := e.Encode(context.Background(), ch, discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("new content can not be read: %v", err)
	}
}

func TestEncodeErrors(t *testing.T) {
	old, new, _ := sample()
	change := func(xs ...Extent) []VolumeChange {
		return []VolumeChange{{Volume: volumeID(1), Size: int64(len(new)), Extents: xs, Old: memView(old), New: memView(new)}}
	}
	for name, xs := range map[string][]Extent{
		"negative":    {{Off: -1, Len: 5}},
		"empty":       {{Off: 5}},
		"beyond":      {{Off: int64(len(new)) - 1, Len: 2}},
		"descending":  {{Off: 8192, Len: 10}, {Off: 0, Len: 10}},
		"overlapping": {{Off: 0, Len: 10}, {Off: 5, Len: 10}},
	} {
		if _, err := NewEncoder(Options{}).Encode(context.Background(), change(xs...), discard); err == nil {
			t.Errorf("extents that are %s: no error", name)
		}
	}
	full := errors.New("no room")
	_, err := NewEncoder(Options{}).Encode(context.Background(), change(Extent{Len: int64(len(new))}), func(pack.Pack) error { return full })
	if !errors.Is(err, full) {
		t.Errorf("put fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewEncoder(Options{}).Encode(ctx, change(Extent{Len: 4096}), discard); !errors.Is(err, context.Canceled) {
		t.Errorf("context is done: %v", err)
	}
}

func TestNothingWritten(t *testing.T) {
	old, _, _ := sample()
	sum, packs := encodeAll(t, NewEncoder(Options{}), []VolumeChange{{Volume: volumeID(1), Size: int64(len(old)), Old: memView(old),
		New: memView(old), State: stateOf(volumeID(1), old)}})
	if len(packs) != 0 || sum.Volumes[0].State != stateOf(volumeID(1), old) || sum.Volumes[0].Counts != (ClassCounts{}) {
		t.Errorf("%d packs, %+v", len(packs), sum)
	}
}

// TestClasses makes changes of known kinds and looks at what they are taken for.
func TestClasses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   classify.Class
	}{
		{"the same again", func([]byte) {}, classify.ZeroBlock},
		{"a discard", func(b []byte) { clear(b[8192:16384]) }, classify.ZeroBlock},
		{"one byte", func(b []byte) { b[5000]++ }, classify.SmallData},
		{"a few fields", func(b []byte) { b[9000]++; b[9300]++; b[9999]++ }, classify.SmallData},
		{"a line in place", func(b []byte) { fill(rnd, b[6000:6100]) }, classify.SmallData},
		{"a paragraph in place", func(b []byte) { fill(rnd, b[6000:7500]) }, classify.MediumData},
		{"lines over a block's end", func(b []byte) { fill(rnd, b[7500:9500]) }, classify.MediumData},
		{"an append of 20 KB", func(b []byte) { fill(rnd, b[26000:46000]) }, classify.MediumData},
		{"new blocks", func(b []byte) { fill(rnd, b[40960:57344]) }, classify.LargeData},
		{"blocks replaced", func(b []byte) { fill(rnd, b[8192:16384]) }, classify.LargeData},
	} {
		old := make([]byte, 64<<10)
		fill(rnd, old[:27000])
		new := slices.Clone(old)
		c.change(new)
		sum, packs := encodeAll(t, NewEncoder(Options{}), []VolumeChange{{Volume: volumeID(1), Size: 64 << 10,
			Extents: []Extent{{Len: 64 << 10}}, Old: memView(old), New: memView(new)}})
		for k, n := range sum.Volumes[0].Counts {
			if k != int(classify.ZeroBlock) && (n.Chunks > 0) != (k == int(c.want)) {
				t.Errorf("%s: %d chunks of class %v, want %v", c.name, n.Chunks, classify.Class(k), c.want)
			}
		}
		if c.want == classify.ZeroBlock && len(packs[0]) > 150 {
			t.Errorf("%s: %d bytes", c.name, len(packs[0]))
		}
	}
}

func TestMetadataGoesFirst(t *testing.T) {
	old, new, xs := sample()
	m, err := classify.ReadMap(memView(mbrHead()), int64(len(new)))
	if err != nil {
		t.Fatal(err)
	}
	if kind, _ := m.RegionAt(0); !kind.IsMetadata() {
		t.Fatalf("the head is %v", kind)
	}
	_, packs := encodeAll(t, NewEncoder(Options{}), []VolumeChange{
		{Volume: volumeID(1), Size: int64(len(new)), Extents: xs, Old: memView(old), New: memView(new)},
		{Volume: volumeID(2), Size: int64(len(new)), Extents: xs, Old: memView(old), New: memView(new), Map: m},
	})
	var chunks []Chunk
	if err := Decode(context.Background(), Packs(packs...), target(old, int64(len(new)), &chunks)); err != nil {
		t.Fatal(err)
	}
	if c := chunks[0]; c.Class != classify.MetadataOnly || c.Volume != volumeID(2) {
		t.Errorf("the first chunk is %v of %v", c.Class, c.Volume)
	}
}

// mbrHead is the beginning of a disk with an MBR and one partition behind it.
func mbrHead() []byte {
	b := make([]byte, 64<<10)
	b[510], b[511] = 0x55, 0xaa
	copy(b[446:], []byte{0, 0, 0, 0, 0x83, 0, 0, 0, 64, 0, 0, 0, 64, 0, 0, 0})
	return b
}
