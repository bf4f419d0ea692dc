package codec

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
)

const benchBytes = 16 << 20

// workloads make the new content of a volume from its old content and return what was written.
var workloads = []struct {
	name string
	make func(rnd *rand.Rand, b []byte) []Extent
}{
	{"edits of 8 bytes", func(rnd *rand.Rand, b []byte) (xs []Extent) {
		for at := 0; at < len(b); at += 8192 {
			binary.LittleEndian.PutUint64(b[at+rnd.IntN(4000):], rnd.Uint64())
			xs = append(xs, Extent{Off: int64(at), Len: 4096})
		}
		return xs
	}},
	{"moved pages", func(rnd *rand.Rand, b []byte) []Extent {
		half := len(b) / 2
		for at := 0; at < half; at += 4096 {
			copy(b[at:at+4096], b[half+rnd.IntN(half/4096-1)*4096+rnd.IntN(100):])
		}
		return []Extent{{Len: int64(half)}}
	}},
	{"copied files", func(rnd *rand.Rand, b []byte) []Extent {
		half := len(b) / 2
		for at := 0; at < half; at += 64 << 10 {
			copy(b[at:at+64<<10], b[half+rnd.IntN(half/65536)*65536:])
		}
		return []Extent{{Len: int64(half)}}
	}},
	{"new text", func(rnd *rand.Rand, b []byte) []Extent {
		text(rnd, b)
		return []Extent{{Len: int64(len(b))}}
	}},
	{"random bytes", func(rnd *rand.Rand, b []byte) []Extent {
		fill(rnd, b)
		return []Extent{{Len: int64(len(b))}}
	}},
	{"one buffer, stamped", func(rnd *rand.Rand, b []byte) []Extent { // what fio writes
		buffer := b[:128<<10]
		fill(rnd, buffer)
		for at := 0; at < len(b); at += 512 {
			copy(b[at:at+512], buffer[at%len(buffer):])
			binary.LittleEndian.PutUint64(b[at+rnd.IntN(62)*8:], uint64(at))
			binary.LittleEndian.PutUint64(b[at+rnd.IntN(62)*8:], rnd.Uint64())
		}
		return []Extent{{Len: int64(len(b))}}
	}},
	{"zeroes", func(_ *rand.Rand, b []byte) []Extent {
		clear(b)
		return []Extent{{Len: int64(len(b)), Zero: true}}
	}},
	{"the same again", func(_ *rand.Rand, b []byte) []Extent { return []Extent{{Len: int64(len(b))}} }},
}

// benchOld is old content without repetition worth mentioning.
func benchOld(rnd *rand.Rand) []byte {
	old := make([]byte, benchBytes)
	for i := 0; i < len(old); i += 16 {
		binary.LittleEndian.PutUint32(old[i:], rnd.Uint32())
		copy(old[i+4:], "some more text")
	}
	return old
}

// BenchmarkEncode packages 16 MiB of one kind of change, decode-and-compare included. MB/s counts host bytes.
func BenchmarkEncode(b *testing.B) {
	for _, w := range workloads {
		for _, s := range []Sensitivity{Fast, Balanced, Thorough} {
			b.Run(w.name+"/"+s.String(), func(b *testing.B) { benchEncode(b, s, w.make) })
		}
	}
}

func benchEncode(b *testing.B, s Sensitivity, make func(*rand.Rand, []byte) []Extent) {
	rnd := rand.New(rand.NewPCG(1, 2))
	old := benchOld(rnd)
	new := append([]byte(nil), old...)
	xs := make(rnd, new)
	n := int64(0)
	for _, x := range xs {
		n += x.Len
	}
	e := NewEncoder(Options{Sensitivity: s})
	ch := []VolumeChange{{Volume: volumeID(1), Size: benchBytes, Extents: xs, Old: memView(old), New: memView(new)}}
	wire := 0
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		wire = 0
		if _, err := e.Encode(context.Background(), ch, func(p pack.Pack) error { wire += len(p.Bytes); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(wire)/float64(n), "wire/host")
}

// BenchmarkDecode decodes what BenchmarkEncode makes.
func BenchmarkDecode(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			rnd := rand.New(rand.NewPCG(1, 2))
			old := benchOld(rnd)
			new := append([]byte(nil), old...)
			xs := w.make(rnd, new)
			ch := []VolumeChange{{Volume: volumeID(1), Size: benchBytes, Extents: xs, Old: memView(old), New: memView(new)}}
			_, packs := encodeAll(b, NewEncoder(Options{}), ch)
			to := Target{Old: func(ident.VolumeID) View { return memView(old) }, Emit: func(Chunk) error { return nil }}
			b.SetBytes(benchBytes)
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(context.Background(), Packs(packs...), to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSmallEpoch packages an epoch of two blocks, the usual one of an idle server.
func BenchmarkSmallEpoch(b *testing.B) {
	old, new, xs := sample()
	e := NewEncoder(Options{})
	ch := []VolumeChange{{Volume: volumeID(1), Size: int64(len(new)), Extents: xs[:2], Old: memView(old), New: memView(new)}}
	wire := 0
	b.ReportAllocs()
	for b.Loop() {
		wire = 0
		if _, err := e.Encode(context.Background(), ch, func(p pack.Pack) error { wire += len(p.Bytes); return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(wire), "wire-bytes")
}

// BenchmarkAnchors searches random bytes for the positions that are looked up.
func BenchmarkAnchors(b *testing.B) {
	content := make([]byte, anchorStep)
	fill(rand.New(rand.NewPCG(1, 2)), content)
	var x anchors
	b.SetBytes(anchorStep)
	b.ReportAllocs()
	for b.Loop() {
		x.search(content, 0, minSubBlock)
	}
}
