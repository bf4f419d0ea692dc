package storepack

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block returns a block with content made from seed, of at most n bytes.
func block(index uint8, seed uint64, n int) Block {
	data := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range data {
		if data[i] = byte(rng.Uint32()); seed%2 == 0 {
			data[i] &= 3 // compresses
		}
	}
	return Block{Index: index, Class: classify.Class(1 + seed%4), Leaf: leaf.Of(data), Data: data}
}

type slotBlocks struct {
	slot   uint64
	blocks []Block
}

func drawSlots(t *rapid.T) []slotBlocks {
	var out []slotBlocks
	slot := uint64(0)
	for range rapid.IntRange(1, 12).Draw(t, "slots") {
		s := slotBlocks{slot: slot + rapid.Uint64Range(0, 1<<40).Draw(t, "gap")}
		slot = s.slot + 1
		mask := rapid.Uint16Range(1, 1<<16-1).Draw(t, "mask")
		for i := range uint8(SlotBlocks) {
			if mask>>i&1 == 0 {
				continue
			}
			k := block(i, rapid.Uint64Range(1, 1<<20).Draw(t, "seed"), leaf.BlockSize)
			if rapid.IntRange(0, 3).Draw(t, "zero") == 0 {
				k = Block{Index: i}
			}
			s.blocks = append(s.blocks, k)
		}
		out = append(out, s)
	}
	return out
}

// TestFramesReadBack builds frames of random slots and finds every block where the Builder said it would be.
func TestFramesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := drawSlots(t)
		var b Builder
		b.Start(7, 9)
		var placed []Placed
		for _, s := range slots {
			placed = append(placed, b.Add(s.slot, s.blocks))
		}
		b.cut()
		for i, s := range slots {
			r := b.refs[placed[i].Frame]
			fr, err := pack.ParseFrame(b.out[r.At:r.At+r.Len], r.At)
			if err != nil {
				t.Fatal(err)
			}
			if len(fr.Payload) > FrameBytesMax {
				t.Fatalf("frame of %d bytes", len(fr.Payload))
			}
			f, err := DecodeFrame(fr.Type, fr.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if f.Volume != 7 || f.Point != 9 {
				t.Fatalf("head %+v", f.Head)
			}
			if !bytes.Equal(f.Data, b.frames[placed[i].Frame].Data) {
				t.Fatal("the frame given to the cache is not the one that was written")
			}
			checkSlot(t, f, s, int(placed[i].First))
		}
	})
}

func checkSlot(t *rapid.T, f *Frame, s slotBlocks, next int) {
	var c *SlotChange
	for i := range f.Slots {
		if f.Slots[i].Slot == s.slot {
			c = &f.Slots[i]
		}
	}
	if c == nil {
		t.Fatalf("slot %d is not in its frame", s.slot)
	}
	for _, k := range s.blocks {
		if k.Data == nil {
			if c.Zero>>k.Index&1 == 0 {
				t.Fatalf("block %d is not zero", k.Index)
			}
			continue
		}
		if c.Data>>k.Index&1 == 0 || !bytes.Equal(f.Block(next), k.Data) || f.Blocks[next] != (BlockHead{k.Class, k.Leaf}) {
			t.Fatalf("block %d of slot %d is not what was added", k.Index, s.slot)
		}
		next++
	}
}

func TestShortBlockIsFilledUp(t *testing.T) {
	var b Builder
	b.Start(1, 1)
	k := block(3, 5, 512)
	b.Add(0, []Block{k})
	b.cut()
	got := b.frames[0].Block(0)
	if !bytes.Equal(got[:512], k.Data) || !leaf.IsZero(got[512:]) {
		t.Fatal("a short block is not its bytes and zeroes")
	}
}

func TestIncompressibleStaysRaw(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		want uint8
	}{{3, TypeRaw}, {4, TypeZstd}} {
		var b Builder
		b.Start(1, 1)
		b.Add(0, []Block{block(0, c.seed, leaf.BlockSize)})
		b.cut()
		fr, err := pack.ParseFrame(b.out, 0)
		if err != nil || fr.Type != c.want {
			t.Errorf("seed %d: type %d, %v, want %d", c.seed, fr.Type, err, c.want)
		}
	}
}

func TestBadFrames(t *testing.T) {
	var b Builder
	b.Start(1, 1)
	b.Add(5, []Block{block(0, 4, leaf.BlockSize), {Index: 2}})
	b.cut()
	fr, err := pack.ParseFrame(b.out, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := fr.Payload
	change := func(at int, v byte) []byte {
		p := bytes.Clone(good)
		p[at] = v
		return p
	}
	for name, c := range map[string]struct {
		typ     uint8
		payload []byte
		want    error
	}{
		"empty":             {TypeZstd, nil, ErrFrame},
		"cut off":           {TypeZstd, good[:frameFixed+3], ErrFrame},
		"version":           {TypeZstd, change(0, 9), ErrVersion},
		"type":              {TypePoint, good, ErrVersion},
		"no slots":          {TypeZstd, change(frameFixed, 0), ErrFrame},
		"data and zero":     {TypeZstd, change(frameFixed+4, 5), ErrFrame},
		"class":             {TypeZstd, change(frameFixed+6, 200), ErrFrame},
		"more blocks":       {TypeZstd, change(frameFixed+2, 3), ErrFrame},
		"raw of zstd":       {TypeRaw, good, ErrFrame},
		"compressed stream": {TypeZstd, change(frameFixed+6+blockHead, 0), ErrFrame},
	} {
		if _, err := DecodeFrame(c.typ, c.payload); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	var b Builder
	b.Start(1, 2)
	b.Add(5, []Block{block(0, 4, leaf.BlockSize), {Index: 2}})
	b.Add(6, []Block{block(1, 3, leaf.BlockSize)})
	b.Add(70, []Block{{Index: 15}})
	b.cut()
	for _, r := range b.refs {
		fr, err := pack.ParseFrame(b.out[r.At:], r.At)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(fr.Type, fr.Payload)
	}
	f.Fuzz(func(t *testing.T, typ uint8, payload []byte) {
		fr, err := DecodeFrame(typ, payload)
		if err != nil {
			return
		}
		if len(fr.Data) != len(fr.Blocks)*leaf.BlockSize || len(fr.Blocks) > FrameBlocksMax {
			t.Fatalf("%d bytes for %d blocks", len(fr.Data), len(fr.Blocks))
		}
		var h Head
		again := fr.Head.append(nil)
		if rest, err := h.parse(again); err != nil || len(rest) != 0 {
			t.Fatalf("the head does not read back: %v", err)
		}
	})
}
