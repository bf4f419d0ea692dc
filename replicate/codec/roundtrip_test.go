package codec

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
	"pgregory.net/rapid"
)

// memView is content in memory; beyond it there are zeroes.
type memView []byte

func (m memView) ReadAt(p []byte, off int64) error {
	n := 0
	if off < int64(len(m)) {
		n = copy(p, m[off:])
	}
	clear(p[n:])
	return nil
}

func volumeID(n byte) ident.VolumeID { return ident.VolumeID{UUID: ident.UUID{15: n}} }

// stateOf computes the state hash of content from nothing.
func stateOf(v ident.VolumeID, b []byte) leaf.State {
	var s leaf.State
	var page [blockSize]byte
	for at := 0; at < len(b); at += blockSize {
		clear(page[:])
		copy(page[:], b[at:])
		s = s.Replace(v, uint64(at/blockSize), 0, leaf.Of(page[:]))
	}
	return s
}

// encodeAll encodes changes and returns the packs.
func encodeAll(t testing.TB, e *Encoder, changes []VolumeChange) (Summary, [][]byte) {
	t.Helper()
	var packs [][]byte
	sum, err := e.Encode(context.Background(), changes, func(p pack.Pack) error {
		if _, err := pack.Open(p.Bytes, p.ID); err != nil {
			return err
		}
		packs = append(packs, p.Bytes)
		return nil
	})
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return sum, packs
}

// apply decodes packs over copies of the old content and returns the result.
func apply(t testing.TB, packs [][]byte, old map[ident.VolumeID][]byte, size map[ident.VolumeID]int64) map[ident.VolumeID][]byte {
	t.Helper()
	out := map[ident.VolumeID][]byte{}
	for v, n := range size {
		out[v] = make([]byte, n)
		copy(out[v], old[v])
	}
	err := Decode(context.Background(), Packs(packs...), Target{
		Old: func(v ident.VolumeID) View {
			if b, ok := old[v]; ok {
				return memView(b)
			}
			return nil
		},
		Size: func(v ident.VolumeID) int64 { return size[v] },
		Emit: func(c Chunk) error { return put(out[c.Volume], c) },
	})
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return out
}

// put writes a chunk into content.
func put(b []byte, c Chunk) error {
	switch {
	case c.Unchanged:
	case c.Off+c.Len > int64(len(b)):
		return fmt.Errorf("chunk of %d bytes at %d beyond %d", c.Len, c.Off, len(b))
	case c.Zero:
		clear(b[c.Off : c.Off+c.Len])
	case int64(len(c.Data)) != c.Len:
		return fmt.Errorf("chunk of %d bytes has %d", c.Len, len(c.Data))
	default:
		copy(b[c.Off:], c.Data)
	}
	return nil
}

// edit changes content at random and returns what was written.
func edit(r *rapid.T, b []byte) []Extent {
	var xs []Extent
	for range rapid.IntRange(0, 12).Draw(r, "edits") {
		off := rapid.IntRange(0, len(b)-1).Draw(r, "off")
		n := min(len(b)-off, rapid.OneOf(rapid.IntRange(1, 64), rapid.IntRange(1, 20000)).Draw(r, "len"))
		x := Extent{Off: int64(off), Len: int64(n)}
		p := b[off : off+n]
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		switch rapid.IntRange(0, 7).Draw(r, "kind") {
		case 0: // random bytes
			fill(rnd, p)
		case 1:
			clear(p)
			x.Zero = true
		case 2: // the same again
		case 3: // a few bytes in between
			for i := rnd.IntN(50); i < len(p); i += 1 + rnd.IntN(200) {
				p[i]++
			}
		case 4: // from somewhere else
			copy(p, b[rnd.IntN(len(b)):])
		case 5: // shifted within itself
			copy(p[min(len(p), rnd.IntN(60)):], slices.Clone(p))
		case 6: // what zlib makes of other content
			from := rnd.IntN(len(b))
			copy(p, zlibOf(b[from:min(len(b), from+60000)], 1+rnd.IntN(9)))
		case 7: // text
			for i := range p {
				p[i] = "the quick brown fox jumps over the lazy dog\n"[(i+off)%44]
			}
		}
		xs = append(xs, x)
	}
	return flatten(xs)
}

func fill(rnd *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
}

// flatten sorts and joins extents; what overlaps is no longer known to be zero.
func flatten(xs []Extent) []Extent {
	slices.SortFunc(xs, func(a, b Extent) int { return int(a.Off - b.Off) })
	var out []Extent
	for _, x := range xs {
		if n := len(out); n > 0 && x.Off < out[n-1].Off+out[n-1].Len {
			out[n-1].Len = max(out[n-1].Len, x.Off+x.Len-out[n-1].Off)
			out[n-1].Zero = false
			continue
		}
		out = append(out, x)
	}
	return out
}

// TestRoundTrip encodes epochs of random changes to several volumes, one after the other with one encoder, and
// decodes them again: content and state hashes must come out.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		opt := Options{Sensitivity: Sensitivity(rapid.IntRange(0, 2).Draw(r, "sensitivity")), IndexBytes: 64 << 10,
			WarmBytes: int64(rapid.SampledFrom([]int{-1, 256 << 10, 0}).Draw(r, "warm"))}
		switch rapid.IntRange(0, 9).Draw(r, "model") {
		case 0:
			opt.TryAll = true
		case 1, 2, 3, 4:
			opt.Model = engine.Fixed(engine.Search(rapid.IntRange(0, int(engine.NumSearch)-1).Draw(r, "search")),
				engine.Squeeze(rapid.IntRange(0, int(engine.NumSqueeze)-1).Draw(r, "squeeze")))
		}
		enc := NewEncoder(opt)
		content := map[ident.VolumeID][]byte{}
		ids := []ident.VolumeID{volumeID(1), volumeID(2), volumeID(3)}
		for _, v := range ids {
			content[v] = make([]byte, 512*rapid.IntRange(1, 600).Draw(r, "sectors"))
		}
		for range rapid.IntRange(1, 4).Draw(r, "epochs") {
			epoch(t, r, enc, ids, content)
		}
	})
}

func epoch(t *testing.T, r *rapid.T, enc *Encoder, ids []ident.VolumeID, content map[ident.VolumeID][]byte) {
	next, size := map[ident.VolumeID][]byte{}, map[ident.VolumeID]int64{}
	var changes []VolumeChange
	for _, v := range ids {
		grown := len(content[v])
		if rapid.IntRange(0, 5).Draw(r, "grow") == 0 {
			grown += 512 * rapid.IntRange(1, 40).Draw(r, "by")
		}
		next[v] = make([]byte, grown)
		copy(next[v], content[v])
		size[v] = int64(grown)
		xs := edit(r, next[v])
		ch := VolumeChange{Volume: v, Size: size[v], Extents: xs, Old: memView(content[v]), New: memView(next[v]), State: stateOf(v, content[v])}
		if s := Sensitivity(rapid.IntRange(0, 5).Draw(r, "own sensitivity")); s < engine.NumSensitivities {
			ch.Sensitivity = &s
		}
		changes = append(changes, ch)
	}
	sum, packs := encodeAll(t, enc, changes)
	got := apply(t, packs, content, size)
	var wire, total uint64
	for _, p := range packs {
		total += uint64(len(p))
	}
	for i, v := range ids {
		if !bytes.Equal(got[v], next[v]) {
			r.Fatalf("volume %d differs at %d", i, matchForward(got[v], next[v]))
		}
		if want := stateOf(v, next[v]); sum.Volumes[i].State != want {
			r.Fatalf("volume %d: state is %v, want %v", i, sum.Volumes[i].State, want)
		}
		for class, c := range sum.Volumes[i].Counts {
			wire += c.WireBytes
			var n EncodingCount
			for _, e := range sum.Volumes[i].Encodings[class] {
				n.Chunks, n.Wire = n.Chunks+e.Chunks, n.Wire+e.Wire
			}
			if n.Wire != c.WireBytes || class > 0 && n.Chunks != c.Chunks {
				r.Fatalf("class %d: %d chunks and %d bytes, its encodings %d and %d", class, c.Chunks, c.WireBytes, n.Chunks, n.Wire)
			}
		}
		for _, d := range enc.Decisions(v, 0, size[v], 100) {
			if f := d.From; f.Same+f.Zero+f.Copy+f.Repeat+f.Stream+f.Literal != d.Len || d.Out < 0 || d.Off+d.Len > size[v] {
				r.Fatalf("decision %+v", d)
			}
		}
		content[v] = next[v]
	}
	if wire != total {
		r.Fatalf("classes account for %d bytes of %d", wire, total)
	}
	if rapid.Bool().Draw(r, "accept") {
		enc.Accept()
	} else {
		enc.Forget()
	}
}
