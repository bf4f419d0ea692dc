package todo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// A map agrees with a slice of booleans whatever is done, and survives its file.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 300*UnitBytesMin).Draw(t, "size")
		m := New(size)
		want := make([]bool, m.units())
		for i := range want {
			want[i] = true
		}
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			off := rapid.Int64Range(0, size-1).Draw(t, "off")
			m.Done(off)
			want[off/m.unit] = false
		}
		m, end, err := Decode(m.Encode(7))
		if err != nil || end != 7 {
			t.Fatalf("decode: %v, end %d", err, end)
		}
		off := rapid.Int64Range(0, size-1).Draw(t, "from")
		stop := rapid.Int64Range(off, size+5).Draw(t, "to")
		got := make([]bool, size)
		at := off
		m.Within(off, stop, func(from, to int64) bool {
			if from < at || to <= from || to > min(stop, size) {
				t.Fatalf("run %d to %d, after %d", from, to, at)
			}
			for i := from; i < to; i++ {
				got[i] = true
			}
			at = to
			return true
		})
		var left int64
		for _, w := range want {
			if w {
				left++
			}
		}
		if m.Bytes() != left*m.unit {
			t.Fatalf("%d bytes left, want %d units", m.Bytes(), left)
		}
		for i := off; i < min(stop, size); i++ {
			if got[i] != want[i/m.unit] {
				t.Fatalf("byte %d: to do %v, want %v", i, got[i], want[i/m.unit])
			}
		}
	})
}

// A nil map has nothing to do; large volumes have large units.
func TestLimits(t *testing.T) {
	var none *Map
	if _, _, ok := none.Next(0, 1<<40); ok || none.Bytes() != 0 {
		t.Error("a nil map has something to do")
	}
	m := New(64 << 40)
	if len(m.words)*8 > 4<<20 || m.units() > unitsMax {
		t.Errorf("map of 64 TiB takes %d bytes", len(m.words)*8)
	}
}

// Each kind of damage has its error.
func TestDecodeRefuses(t *testing.T) {
	good := New(1 << 20).Encode(1)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"empty":     {func([]byte) []byte { return nil }, ErrCorrupt},
		"bit":       {func(b []byte) []byte { b[headerBytes] ^= 1; return b }, ErrCorrupt},
		"cut off":   {func(b []byte) []byte { return b[:len(b)-1] }, ErrCorrupt},
		"newer":     {func(b []byte) []byte { b[offVersion] = 9; return b }, ErrVersion},
		"too large": {func(b []byte) []byte { b[headerBytes+5] = 1; return resum(b) }, ErrCorrupt},
		"no size":   {func(b []byte) []byte { clear(b[offSize : offSize+8]); return resum(b) }, ErrCorrupt},
	} {
		if _, _, err := Decode(c.change(bytes.Clone(good))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func resum(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[offCRC:], checksum(b))
	return b
}

func FuzzDecode(f *testing.F) {
	f.Add(New(1 << 20).Encode(1))
	f.Add(New(100).Encode(0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= headerBytes {
			b = resum(bytes.Clone(b))
		}
		m, end, err := Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Encode(end)[:offCRC], b[:offCRC]) || m.Bytes() < 0 {
			t.Fatalf("decoded to something else")
		}
	})
}
