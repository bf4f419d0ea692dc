package classify

import (
	"encoding/json"
	"sync"
	"testing"
)

func TestTagHoldsItsParts(t *testing.T) {
	for c := range Class(NumClasses) {
		for r := range Region(NumRegions) {
			for _, seq := range []bool{false, true} {
				tag := MakeTag(c, r, seq)
				if tag.Class() != c || tag.Region() != r || tag.Sequential() != seq {
					t.Errorf("%v holds %v, %v, %v; want %v, %v, %v", tag, tag.Class(), tag.Region(), tag.Sequential(), c, r, seq)
				}
			}
		}
	}
}

// TestAnyByteIsATag reads all 256 tags: a log record may hold any.
func TestAnyByteIsATag(t *testing.T) {
	for i := range 256 {
		tag := Tag(i)
		if tag.Class() >= NumClasses || tag.Region() >= NumRegions || tag.String() == "" {
			t.Errorf("tag %#02x is %v", i, tag)
		}
		if e := tag.Estimate(8192); e < 0 || e > 8192 {
			t.Errorf("tag %#02x: estimate of 8192 bytes is %d", i, e)
		}
	}
}

func TestGuess(t *testing.T) {
	b := &builder{size: 1 << 30}
	b.add(0, 1<<30, Data)
	b.add(1<<20, 1<<20, InodeTable)
	tagger := NewTagger()
	if tagger.Known() != nil {
		t.Error("a new tagger knows something")
	}
	tagger.Learn(b.build("x"))
	full := make([]byte, 128<<10)
	for i := range full {
		full[i] = 1
	}
	tail := make([]byte, 12288)
	tail[12287] = 1
	for _, c := range []struct {
		name string
		p    []byte
		off  int64
		want Tag
	}{
		{"zeroes", make([]byte, 64<<10), 0, MakeTag(ZeroBlock, Data, false)},
		{"zeroes of no whole page", make([]byte, 5000), 100, MakeTag(ZeroBlock, Data, false)},
		{"only the last byte set", tail, 40 << 10, MakeTag(SmallData, Data, false)},
		{"one page", full[:4096], 0, MakeTag(SmallData, Data, false)},
		{"the page behind", full[:4096], 4096, MakeTag(SmallData, Data, true)},
		{"a stream", full[:32<<10], 8192, MakeTag(LargeData, Data, true)},
		{"32 KiB elsewhere", full[:32<<10], 5 << 20, MakeTag(MediumData, Data, false)},
		{"128 KiB", full, 9 << 20, MakeTag(LargeData, Data, false)},
		{"inodes", full[:4096], 1<<20 + 8192, MakeTag(MetadataOnly, InodeTable, false)},
		{"beyond what is known", full[:4096], 2 << 30, MakeTag(SmallData, Unknown, false)},
		{"nothing", nil, 7, MakeTag(ZeroBlock, Data, false)},
	} {
		if got := tagger.Tag(c.p, c.off); got != c.want {
			t.Errorf("%s: tag is %v, want %v", c.name, got, c.want)
		}
	}
	if got := tagger.TagZero(1<<20, 1<<30); got != MakeTag(ZeroBlock, InodeTable, false) {
		t.Errorf("a discard is %v", got)
	}
}

// TestTagWhileLearning has writers and a teacher at the same time; the race detector looks on.
func TestTagWhileLearning(t *testing.T) {
	tagger := NewTagger()
	p := make([]byte, 4096)
	p[0] = 1
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range int64(500) {
				tagger.Tag(p, k<<12+int64(i))
				tagger.Learn((&builder{size: 1 << 20}).build("x"))
			}
		})
	}
	wg.Wait()
}

func TestNames(t *testing.T) {
	b, err := json.Marshal(map[Class]Class{MetadataOnly: ZeroBlock})
	if err != nil || string(b) != `{"MetadataOnly":"ZeroBlock"}` {
		t.Errorf("%s, %v", b, err)
	}
	if s := Class(9).String() + Region(99).String(); s != "Class(9)Region(99)" {
		t.Error(s)
	}
	if s := MakeTag(SmallData, Journal, true).String(); s != "SmallData/journal/seq" {
		t.Error(s)
	}
}

func BenchmarkTag(b *testing.B) {
	bld := &builder{size: 1 << 40}
	for i := range int64(8192) {
		bld.add(i<<27, 1<<20, InodeTable)
	}
	tagger := NewTagger()
	tagger.Learn(bld.build("x"))
	for name, p := range map[string][]byte{"zero 4K": make([]byte, 4096), "data 4K": {4095: 0, 0: 1}, "data 64K": {65535: 0, 9: 1}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				tagger.Tag(p, i*7919<<12&(1<<40-1))
			}
		})
	}
}
