package index

import (
	"bytes"
	"errors"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/storepack"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func drawSlot(t *rapid.T) (s Slot) {
	mask := rapid.Uint16().Draw(t, "mask")
	var loc Loc
	for i := range s {
		if mask>>i&1 == 0 {
			continue
		}
		if loc.Pack == 0 || loc.Block == storepack.FrameBlocksMax-1 || rapid.IntRange(0, 2).Draw(t, "new frame") == 0 {
			loc = Loc{Ref: storepack.Ref{Pack: rapid.Uint32Min(1).Draw(t, "pack"), At: rapid.Uint32().Draw(t, "at"),
				Len: rapid.Uint32().Draw(t, "len")}, Block: rapid.Uint8Max(storepack.FrameBlocksMax-1).Draw(t, "block")}
		} else {
			loc.Block++
		}
		s[i] = Block{Leaf: leaf.Leaf(rapid.Uint64Min(1).Draw(t, "leaf")), Loc: loc,
			Class: classify.Class(rapid.Uint8Max(classify.NumClasses-1).Draw(t, "class"))}
	}
	return s
}

func TestSlotReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawSlot(t)
		var got Slot
		if err := decodeSlot(appendSlot(nil, &want), &got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestSlotSize(t *testing.T) {
	var s Slot
	for i := range s {
		s[i] = Block{Leaf: 1, Class: 4, Loc: Loc{Ref: storepack.Ref{Pack: 70000, At: 5 << 20, Len: 40000}, Block: uint8(i)}}
	}
	if n := len(appendSlot(nil, &s)); n > 160 {
		t.Errorf("a slot written at once takes %d bytes", n)
	}
}

func FuzzDecodeSlot(f *testing.F) {
	s := Slot{0: {Leaf: 3, Loc: Loc{Ref: storepack.Ref{Pack: 1, At: 16, Len: 99}}}, 7: {Leaf: 4, Class: 2,
		Loc: Loc{Ref: storepack.Ref{Pack: 2, At: 16, Len: 99}, Block: 15}}}
	f.Add(appendSlot(nil, &s))
	f.Add(appendSlot(nil, &Slot{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again Slot
		if err := decodeSlot(b, &s); err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if err := decodeSlot(appendSlot(nil, &s), &again); err != nil || again != s {
			t.Fatalf("does not read back: %v", err)
		}
	})
}

func samplePoint() *Point {
	return &Point{Point: ident.Point{Group: ident.GroupID{UUID: ident.NewUUID()}, Timeline: ident.Timeline{UUID: ident.NewUUID()},
		End: 7, Digest: ident.Digest{1, 2}}, Number: 9, Base: 8, Commit: []byte("commit"),
		Volumes: []Volume{{ID: ident.VolumeID{UUID: ident.NewUUID()}, Number: 3, Size: 1 << 40}}}
}

func FuzzDecodePoint(f *testing.F) {
	f.Add(EncodePoint(samplePoint()))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePoint(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodePoint(EncodePoint(p))
		if err != nil || !bytes.Equal(EncodePoint(again), EncodePoint(p)) {
			t.Fatalf("does not read back: %v", err)
		}
	})
}

func FuzzDecodeLists(f *testing.F) {
	f.Add(appendChanged(nil, []uint64{1, 2, 900, 1 << 40}), encodeIntake(5, []uint32{1, 2, 3}), encodeUsage(Usage{3, 9}))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var slots []uint64
		if err := decodeChanged(a, func(s uint64) { slots = append(slots, s) }); err == nil && len(slots) > changedPartMax {
			t.Fatalf("%d slots", len(slots))
		}
		if _, volumes, err := decodeIntake(b); err == nil && len(volumes) > 2*VolumesMax {
			t.Fatalf("%d volumes", len(volumes))
		}
		if u, err := decodeUsage(c); err == nil {
			if again, err := decodeUsage(encodeUsage(u)); err != nil || again != u {
				t.Fatalf("%+v reads back as %+v, %v", u, again, err)
			}
		}
	})
}
