package codec

import (
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
)

// TestEncodings makes one change of each kind and asks how it travelled.
func TestEncodings(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	old := make([]byte, 1<<20)
	text(rnd, old[:512<<10])
	fill(rnd, old[512<<10:768<<10])
	for _, c := range []struct {
		want Encoding
		off  int
		make func(p []byte)
	}{
		{EncodedPatch, 8192, func(p []byte) { p[100], p[5000] = 1, 2 }},
		{EncodedZero, 16384, func(p []byte) { clear(p) }},
		{EncodedNotice, 24576, func([]byte) {}},
		{EncodedCopy, 800 << 10, func(p []byte) { copy(p, old[600<<10+777:]) }},
		{EncodedRaw, 832 << 10, func(p []byte) { fill(rnd, p) }},
		{EncodedLiteral, 864 << 10, func(p []byte) { text(rnd, p) }},
		{EncodedStream, 896 << 10, func(p []byte) { copy(p, zlibOf(old[100<<10:122<<10], 6)) }},
	} {
		new := append([]byte(nil), old...)
		c.make(new[c.off : c.off+8192])
		e := NewEncoder(Options{Model: engine.Fixed(engine.SearchInner, engine.SqueezeNormal)})
		sum, packs := encodeAll(t, e, []VolumeChange{{Volume: volumeID(1), Size: int64(len(new)),
			Extents: []Extent{{Off: int64(c.off), Len: 8192}}, Old: memView(old), New: memView(new)}})
		for class := range classify.Class(classify.NumClasses) {
			for k, n := range sum.Volumes[0].Encodings[class] {
				if (n.Chunks > 0) != (Encoding(k) == c.want && n.Wire == uint64(len(packs[0]))) {
					t.Errorf("%v: %v %v has %d chunks and %d bytes of %d", c.want, class, Encoding(k), n.Chunks, n.Wire, len(packs[0]))
				}
			}
		}
		d := e.Decisions(volumeID(1), int64(c.off), 8192, 10)
		if plain := c.want == EncodedZero || c.want == EncodedNotice; len(d) != 1 && !plain || len(d) > 0 && d[0].Encoding != c.want {
			t.Errorf("%v: decisions %+v", c.want, d)
		}
	}
}
