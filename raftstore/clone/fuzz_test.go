package clone

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/ident"
)

// sampleMap is a map with every kind of record.
func sampleMap() []byte {
	h := header{clone: cloneID, volume: volumeID, incarnation: ident.UUID{3}, size: size}
	set := roaring64.BitmapOf(1, 2, 3, 9)
	b := appendCheckpoint(h.encode(), h.seed(), set)
	for _, r := range []record{dataRecord(4, make([]byte, 5000)), zeroRecord(10, 3), {kind: recordCommit, first: uint64(len(b))}} {
		b = appendRecord(b, h.seed(), int64(len(b)), r)
	}
	return b
}

func FuzzMap(f *testing.F) {
	f.Add(sampleMap())
	f.Add(sampleMap()[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err == nil {
			_, err = replay(b, h)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("error is %v", err)
		}
	})
}

// FuzzRecords gives the decoder records whose checksums are right.
func FuzzRecords(f *testing.F) {
	f.Add(byte(recordRuns), uint64(3), []byte{0, 4, 2, 1}, byte(recordZero), uint64(9), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Add(byte(recordData), uint64(1), []byte{1, 2, 3, 4}, byte(recordCommit), uint64(80), []byte{})
	f.Fuzz(func(t *testing.T, k1 byte, f1 uint64, b1 []byte, k2 byte, f2 uint64, b2 []byte) {
		h := header{clone: cloneID, volume: volumeID, incarnation: ident.UUID{3}, size: size}
		b := appendCheckpoint(h.encode(), h.seed(), roaring64.New())
		b = appendRecord(b, h.seed(), int64(len(b)), record{k1, f1, b1})
		b = appendRecord(b, h.seed(), int64(len(b)), record{k2, f2, b2})
		r, err := replay(b, &h)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("error is %v", err)
		}
		if err == nil && r.settled.GetCardinality() > blockCount(size) {
			t.Errorf("%d blocks of %d", r.settled.GetCardinality(), blockCount(size))
		}
	})
}

func FuzzSpec(f *testing.F) {
	s := specOf("a", "v")
	s.ID, s.Version = cloneID, specVersion
	b, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSpec(b); err == nil && s.valid() != nil || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%v", err)
		}
	})
}

// TestMapDamage flips every bit group of a map that was made durable: what is not noticed changes nothing.
func TestMapDamage(t *testing.T) {
	h := header{clone: cloneID, volume: volumeID, incarnation: ident.UUID{3}, size: size}
	b := appendCheckpoint(h.encode(), h.seed(), roaring64.BitmapOf(1, 2, 3, 9))
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 0x11
		h, err := decodeHeader(bad)
		var r *replayed
		if err == nil {
			r, err = replay(bad, h)
		}
		if err == nil && r.settled.GetCardinality() != 4 {
			t.Errorf("damage at %d loses blocks", i)
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("damage at %d: %v", i, err)
		}
	}
	for cut := range b {
		h, err := decodeHeader(b[:cut])
		if err == nil {
			_, err = replay(b[:cut], h)
		}
		if cut < len(b)-recordBytes && !errors.Is(err, ErrDamaged) {
			t.Errorf("map cut to %d of %d: %v", cut, len(b), err)
		}
	}
}

// TestSpecification holds docs/format-clone.md against the code.
func TestSpecification(t *testing.T) {
	b, err := os.ReadFile("../../docs/format-clone.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]int{
		"recordRuns": recordRuns, "recordData": recordData, "recordZero": recordZero, "recordCommit": recordCommit,
		"recordDurable": recordDurable, "headerBytes": headerBytes, "recordBytes": recordBytes, "recordAlign": recordAlign,
		"BlockBytes": BlockBytes, "bodyBytesMax": bodyBytesMax, "specVersion": specVersion,
	} {
		if row := "| `" + name + "` | " + strconv.Itoa(value) + " |"; !strings.Contains(string(b), row) {
			t.Errorf("docs/format-clone.md lacks %q", row)
		}
	}
	if mapMagic != "WEIRCLM\x01" {
		t.Errorf("magic is %q", mapMagic)
	}
}
