package codec

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec/deflate"
	"github.com/weirstor/weir/replicate/pack"
)

// zlibOf is what zlib makes of content at the level.
func zlibOf(content []byte, level int) []byte {
	return deflateAs(deflate.NewCompressor(), nil, content, level|innerZlib)
}

// TestDeflateStreams writes zlib streams of content that the volume holds already, at odd places: they must cost next to
// nothing, and come out bit by bit.
func TestDeflateStreams(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	old := make([]byte, 2<<20)
	text(rnd, old[:1<<20])
	for at := 0; at < 1<<20; at += 50 { // nothing that zstd could do alone
		old[at] = byte(rnd.Uint32())
	}
	new := slices.Clone(old)
	at, n := 1<<20, 0
	for level := 1; level <= 9; level++ {
		from := rnd.IntN(900 << 10)
		z := zlibOf(append([]byte("blob 40000\x00"), old[from:from+40000]...), level)
		if level%2 == 0 {
			at = int(blockCeil(int64(at)))
		}
		at, n = at+copy(new[at:], z), n+len(z)
	}
	v := volumeID(1)
	changes := []VolumeChange{{Volume: v, Size: int64(len(new)), Extents: []Extent{{Off: 1 << 20, Len: int64(at - 1<<20)}},
		Old: memView(old), New: memView(new), State: stateOf(v, old)}}
	for _, c := range []struct {
		s   Sensitivity
		max int
	}{{Fast, n * 11 / 10}, {Balanced, 1200}, {Thorough, 1200}} {
		_, packs := encodeAll(t, NewEncoder(Options{Sensitivity: c.s}), changes)
		var chunks []Chunk
		if err := Decode(context.Background(), Packs(packs...), target(old, int64(len(new)), &chunks)); err != nil {
			t.Fatalf("%v: %v", c.s, err)
		}
		got := slices.Clone(old)
		for _, ch := range chunks {
			if err := put(got, ch); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, new) {
			t.Errorf("%v: content differs at %d", c.s, matchForward(got, new))
		}
		if len(packs[0]) > c.max {
			t.Errorf("%v: %d bytes for streams of %d bytes, want at most %d", c.s, len(packs[0]), n, c.max)
		}
		theirs := slices.Clone(old)
		for i := 0; i < 1<<20; i += 1000 {
			theirs[i] ^= 1
		}
		if err := Decode(context.Background(), Packs(packs...), target(theirs, int64(len(new)), &chunks)); c.s != Fast && !errors.Is(err, ErrBaseMismatch) {
			t.Errorf("%v: other content beneath: %v", c.s, err)
		}
	}
}

// TestInnerRefused lists deflate streams that no encoder writes.
func TestInnerRefused(t *testing.T) {
	plain := make([]byte, 5000)
	text(rand.New(rand.NewPCG(7, 8)), plain)
	z := zlibOf(plain, 6)
	good := func() match {
		return match{n: len(z), op: opInner, inner: &inner{kind: 6 | innerZlib, content: plain}}
	}
	for _, c := range []struct {
		name   string
		change func(m *match)
		ok     bool
	}{
		{"nothing wrong", func(*match) {}, true},
		{"level 0", func(m *match) { m.inner.kind = innerZlib }, false},
		{"level 10", func(m *match) { m.inner.kind = 10 }, false},
		{"unknown kind", func(m *match) { m.inner.kind = 6 | 32 }, false},
		{"another length", func(m *match) { m.n++ }, false},
		{"only deflate", func(m *match) { m.inner.kind = 6 }, false},
		{"too large", func(m *match) { m.inner.content = make([]byte, MaxInnerBytes+1) }, false},
		{"too much for its length", func(m *match) { m.inner.content = make([]byte, MaxInnerRatio*len(z)+1) }, false},
		{"too little content", func(m *match) { m.inner.content = plain[:4999] }, false},
		{"too much content", func(m *match) { m.inner.matches = []match{{n: 5001, op: opZero}} }, false},
		{"the same address", func(m *match) { m.inner.matches = []match{{n: 5000, op: opSelf}} }, false},
		{"a stream in a stream", func(m *match) { m.inner.matches = []match{good()} }, false},
	} {
		m := good()
		c.change(&m)
		w := &frameWriter{}
		w.startEpoch()
		w.begin(passData, volumeID(1), blockSize, 0)
		var page [blockSize]byte
		copy(page[:], z)
		w.leaves(0, leaf.Of(page[:]))
		content := make([]byte, m.n)
		w.dataChunk(0, classify.LargeData, content, 0, []match{m})
		payload, _, _ := w.appendTo(nil, nil, [numColumns]engine.Squeeze{})
		b := pack.AppendFrame(pack.AppendHeader(nil, pack.Wire), FrameType, payload)
		var chunks []Chunk
		err := Decode(context.Background(), Packs(b), target(nil, 1<<20, &chunks))
		if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error is %v", c.name, err)
		}
	}
}
