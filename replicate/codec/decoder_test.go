package codec

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// text fills p with words that repeat, of a vocabulary of its own for each seed.
func text(rnd *rand.Rand, p []byte) {
	for i := 0; i < len(p); {
		n := copy(p[i:], []string{"alpha ", "beta ", "gamma ", "delta\n", "x=", "0123"}[rnd.IntN(6)])
		if i += n; i < len(p) {
			p[i] = 'a' + byte(rnd.IntN(26))
			i++
		}
	}
}

// sample is an old and a new content with something of everything: edits in place, a moved stretch, zeroes, new text
// and random bytes. The file system is not known.
func sample() (old, new []byte, xs []Extent) {
	rnd := rand.New(rand.NewPCG(1, 2))
	old = make([]byte, 512<<10)
	text(rnd, old[:400<<10])
	new = slices.Clone(old)
	for at := 0; at < 64<<10; at += 4096 {
		binary.LittleEndian.PutUint32(new[at+100:], rnd.Uint32())
		xs = append(xs, Extent{Off: int64(at), Len: 4096})
	}
	copy(new[128<<10:160<<10], old[200<<10+123:])
	clear(new[160<<10 : 176<<10])
	text(rnd, new[400<<10:420<<10])
	fill(rnd, new[420<<10:440<<10])
	xs = append(xs, Extent{Off: 128 << 10, Len: 48 << 10}, Extent{Off: 300 << 10, Len: 8192}, Extent{Off: 400 << 10, Len: 40 << 10})
	return old, new, xs
}

// samplePacks encodes sample.
func samplePacks(t testing.TB) (old, new []byte, packs [][]byte) {
	t.Helper()
	old, new, xs := sample()
	_, packs = encodeAll(t, NewEncoder(Options{}), []VolumeChange{{Volume: volumeID(1), Size: int64(len(new)), Extents: xs,
		Old: memView(old), New: memView(new), State: stateOf(volumeID(1), old)}})
	return old, new, packs
}

// target decodes over old and collects the chunks.
func target(old []byte, size int64, chunks *[]Chunk) Target {
	return Target{
		Old:  func(ident.VolumeID) View { return memView(old) },
		Size: func(ident.VolumeID) int64 { return size },
		Emit: func(c Chunk) error {
			c.Data = bytes.Clone(c.Data)
			*chunks = append(*chunks, c)
			return nil
		},
	}
}

func TestDecodeSample(t *testing.T) {
	old, new, packs := samplePacks(t)
	var chunks []Chunk
	to := target(old, int64(len(new)), &chunks)
	state := stateOf(volumeID(1), old)
	to.Leaf = func(v ident.VolumeID, index uint64, before, after leaf.Leaf) error {
		state = state.Replace(v, index, before, after)
		return nil
	}
	if err := Decode(context.Background(), Packs(packs...), to); err != nil {
		t.Fatal(err)
	}
	got := slices.Clone(old)
	seen := map[classify.Class]int{}
	for _, c := range chunks {
		if err := put(got, c); err != nil {
			t.Fatal(err)
		}
		seen[c.Class]++
		if c.Unchanged && c.Blocks != 2 {
			t.Errorf("notice of %d unchanged blocks, want 2", c.Blocks)
		}
	}
	if !bytes.Equal(got, new) {
		t.Errorf("content differs at %d", matchForward(got, new))
	}
	if want := stateOf(volumeID(1), new); state != want {
		t.Errorf("state from the leaves is %v, want %v", state, want)
	}
	for _, c := range []classify.Class{classify.ZeroBlock, classify.SmallData, classify.LargeData} {
		if seen[c] == 0 {
			t.Errorf("no chunk of class %v: %v", c, seen)
		}
	}
	if n := len(packs[0]); n > 40<<10 {
		t.Errorf("%d bytes for 20 KiB of random bytes, 20 KiB of text, a move and some edits", n)
	}
}

// TestBaseMismatch changes the old content at the receiver: a delta must not build on it, wherever it is used.
func TestBaseMismatch(t *testing.T) {
	old, new, packs := samplePacks(t)
	for _, c := range []struct {
		name string
		at   int
		want bool
	}{
		{"beneath an edit", 4096 + 50, true},
		{"beneath zeroes", 161 << 10, true},
		{"where a copy comes from", 210 << 10, true},
		{"where nothing happens", 360 << 10, false},
	} {
		theirs := slices.Clone(old)
		theirs[c.at] ^= 0x20
		var chunks []Chunk
		err := Decode(context.Background(), Packs(packs...), target(theirs, int64(len(new)), &chunks))
		if errors.Is(err, ErrBaseMismatch) != c.want || !c.want && err != nil {
			t.Errorf("%s: error is %v", c.name, err)
		}
		var where *BaseMismatchError
		if c.want && (!errors.As(err, &where) || int64(c.at) < blockFloor(where.Off) || int64(c.at) >= blockCeil(where.Off+where.Len)) {
			t.Errorf("%s: change at %d is blamed on %+v", c.name, c.at, where)
		}
	}
}

// TestDamage flips bytes within frames and mends the envelope's checksum: the codec itself must find it, or the result
// must be the same.
func TestDamage(t *testing.T) {
	old, new, packs := samplePacks(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	at := pack.HeaderBytes + pack.FrameHeadBytes
	for range 600 {
		payload := slices.Clone(packs[0][at:])
		for range 1 + rnd.IntN(3) {
			payload[rnd.IntN(len(payload))] ^= byte(1 + rnd.IntN(255))
		}
		checkHostile(t, old, new, payload)
	}
}

// checkHostile decodes a frame payload that may be anything: no panic, no chunk beyond the volume, and only errors of
// known kinds.
func checkHostile(t testing.TB, old, new, payload []byte) {
	t.Helper()
	for frameType := oldestFrameType; frameType <= FrameType; frameType++ {
		checkHostileFrame(t, old, new, pack.AppendFrame(pack.AppendHeader(nil, pack.Wire), uint8(frameType), payload))
	}
}

func checkHostileFrame(t testing.TB, old, new, b []byte) {
	t.Helper()
	var chunks []Chunk
	err := Decode(context.Background(), Packs(b), target(old, int64(len(new)), &chunks))
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrBaseMismatch) {
		t.Fatalf("error is %v", err)
	}
	for _, c := range chunks {
		if c.Unchanged {
			continue
		}
		if c.Off < 0 || c.Len <= 0 || c.Off+c.Len > int64(len(new)) || !c.Zero && int64(len(c.Data)) != c.Len {
			t.Fatalf("chunk of %d bytes at %d with %d", c.Len, c.Off, len(c.Data))
		}
	}
}

// TestRefused lists frames that no encoder writes.
func TestRefused(t *testing.T) {
	frame := func(build func(w *frameWriter)) []byte {
		w := &frameWriter{}
		w.startEpoch()
		build(w)
		b, _, _ := w.appendTo(nil, nil, [numColumns]engine.Squeeze{})
		return b
	}
	v := volumeID(1)
	one := []byte("x")
	for _, c := range []struct {
		name    string
		payload []byte
	}{
		{"nothing", nil},
		{"many volumes", binary.AppendUvarint(nil, MaxVolumes+1)},
		{"no such volume", frame(func(w *frameWriter) { w.volume = 3; w.pass = 1; w.seg.open = true })},
		{"beyond the volume", frame(func(w *frameWriter) {
			w.begin(passData, v, blockSize, 0)
			w.dataChunk(1<<40, classify.SmallData, one, 0, nil)
		})},
		{"the same block twice", frame(func(w *frameWriter) {
			w.begin(passData, v, 2*blockSize, 0)
			w.dataChunk(10, classify.SmallData, one, 0, nil)
			w.dataChunk(20, classify.SmallData, one, 0, nil)
		})},
		{"zeroes in the middle of a block", frame(func(w *frameWriter) {
			w.begin(passData, v, 0, blockSize)
			w.zeroChunk(100, 50)
		})},
		{"a large segment", frame(func(w *frameWriter) {
			w.begin(passData, v, 0, 0)
			w.dataChunk(0, classify.LargeData, make([]byte, 2<<20), 0, []match{{at: 0, n: 2 << 20, op: opZero}})
		})},
		{"a copy from nowhere", frame(func(w *frameWriter) {
			w.begin(passData, v, 0, 0)
			w.dataChunk(0, classify.LargeData, make([]byte, 99), 0, []match{{n: 99, op: opNear, from: place{0, -5000}}})
		})},
		{"a copy from no volume", frame(func(w *frameWriter) {
			w.begin(passData, v, 0, 0)
			w.dataChunk(0, classify.LargeData, make([]byte, 99), 0, []match{{n: 99, op: opNear, from: place{9, 0}}})
		})},
		{"another result", frame(func(w *frameWriter) {
			w.begin(passData, v, 0, 0)
			w.leaves(0, 7)
			w.dataChunk(0, classify.LargeData, one, 0, nil)
		})},
	} {
		b := pack.AppendFrame(pack.AppendHeader(nil, pack.Wire), FrameType, c.payload)
		var chunks []Chunk
		err := Decode(context.Background(), Packs(b), target(nil, 4<<20, &chunks))
		if !errors.Is(err, ErrCorrupt) || len(chunks) > 0 {
			t.Errorf("%s: error is %v after %d chunks, want ErrCorrupt", c.name, err, len(chunks))
		}
	}
}

func TestWrongEnvelope(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"cut off", []byte("WEIR"), pack.ErrTruncated},
		{"a store pack", pack.AppendHeader(nil, pack.Store), ErrCorrupt},
		{"a later frame type", pack.AppendFrame(pack.AppendHeader(nil, pack.Wire), FrameType+1, nil), ErrVersion},
	} {
		err := Decode(context.Background(), Packs(c.b), target(nil, 4096, new([]Chunk)))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", c.name, err, c.want)
		}
	}
}

// FuzzDecode feeds the decoder frames that may be anything.
func FuzzDecode(f *testing.F) {
	old, new, packs := samplePacks(f)
	f.Add(packs[0][pack.HeaderBytes+pack.FrameHeadBytes:])
	w := &frameWriter{}
	w.startEpoch()
	w.begin(passData, volumeID(1), blockSize, 0)
	w.leaves(leaf.Of(old[:blockSize]), leaf.Of(old[blockSize:2*blockSize]))
	w.dataChunk(0, classify.LargeData, make([]byte, blockSize), 0, []match{{n: blockSize, op: opNear, from: place{0, blockSize}}})
	w.notice(volumeID(2), 0, 4096, 1)
	small, _, _ := w.appendTo(nil, nil, [numColumns]engine.Squeeze{})
	f.Add(small)
	f.Fuzz(func(t *testing.T, payload []byte) { checkHostile(t, old, new, payload) })
}
