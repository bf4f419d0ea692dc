package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// build returns a pack of the given frame payloads; frame i has type i.
func build(t testing.TB, kind Kind, payloads ...[]byte) Pack {
	t.Helper()
	w := NewWriter(kind)
	for i, p := range payloads {
		if _, err := w.Append(uint8(i), p); err != nil {
			t.Fatalf("Append of frame %d: %v", i, err)
		}
	}
	return w.Finish()
}

// collect returns copies of the payloads of all frames.
func collect(b []byte) (out [][]byte, err error) {
	err = Frames(b, func(f Frame) error {
		out = append(out, bytes.Clone(f.Payload))
		return nil
	})
	return out, err
}

func TestWriterAndReaderAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Wire, Store}).Draw(r, "kind")
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 8).Draw(r, "payloads")
		w := NewWriter(kind)
		var at []uint32
		size := HeaderBytes
		for i, p := range payloads {
			a, err := w.Append(uint8(i), p)
			if err != nil {
				r.Fatalf("Append: %v", err)
			}
			at = append(at, a)
			if size += FrameHeadBytes + len(p); w.Len() != size {
				r.Fatalf("Len is %d after frame %d, want %d", w.Len(), i, size)
			}
		}
		p := w.Finish()
		if !w.Empty() || int(p.Size) != len(p.Bytes) {
			r.Fatalf("pack of %d bytes says %d; writer empty: %v", len(p.Bytes), p.Size, w.Empty())
		}
		if got, err := Open(p.Bytes, p.ID); err != nil || got != kind {
			r.Fatalf("Open: %v, %v", got, err)
		}
		i := 0
		err := Frames(p.Bytes, func(f Frame) error {
			if f.At != at[i] || f.Type != uint8(i) || !bytes.Equal(f.Payload, payloads[i]) {
				r.Fatalf("frame %d is %+v", i, f)
			}
			one, err := ReadFrame(bytes.NewReader(p.Bytes), p.Size, f.At)
			if err != nil || !bytes.Equal(one.Payload, f.Payload) || one.Type != f.Type {
				r.Fatalf("ReadFrame at %d: %+v, %v", f.At, one, err)
			}
			i++
			return nil
		})
		if err != nil || i != len(payloads) {
			r.Fatalf("Frames gave %d of %d: %v", i, len(payloads), err)
		}
	})
}

// TestEveryByteCounts flips each byte of a pack: Open must refuse each, and the frame reader each but those that no
// checksum of its own covers, of which there are none.
func TestEveryByteCounts(t *testing.T) {
	p := build(t, Wire, []byte("one"), nil, bytes.Repeat([]byte("two"), 50))
	for i := range p.Bytes {
		b := bytes.Clone(p.Bytes)
		b[i] ^= 0x40
		if _, err := Open(b, p.ID); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d flipped: Open says %v, want ErrCorrupt", i, err)
		}
		if _, err := collect(b); err == nil {
			t.Errorf("byte %d flipped: Frames says nothing", i)
		}
	}
}

// TestEveryPrefix cuts a pack at each length: what is left holds whole frames, or is an error.
func TestEveryPrefix(t *testing.T) {
	p := build(t, Store, []byte("one"), []byte("two and a half"))
	ends := map[int]int{HeaderBytes: 0, HeaderBytes + FrameHeadBytes + 3: 1, len(p.Bytes): 2}
	for n := range len(p.Bytes) + 1 {
		got, err := collect(p.Bytes[:n])
		if want, whole := ends[n]; whole {
			if err != nil || len(got) != want {
				t.Errorf("prefix of %d: %d frames, %v; want %d", n, len(got), err, want)
			}
		} else if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) {
			t.Errorf("prefix of %d: error is %v", n, err)
		}
	}
}

func TestHeaderErrors(t *testing.T) {
	seal := func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
		return b
	}
	head := func(change func(b []byte)) []byte {
		b := make([]byte, HeaderBytes)
		putHeader(b, Wire)
		change(b)
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, ErrTruncated},
		{"short", make([]byte, HeaderBytes-1), ErrTruncated},
		{"magic", seal(head(func(b []byte) { b[0] = 'w' })), ErrCorrupt},
		{"checksum", head(func(b []byte) { b[12]++ }), ErrCorrupt},
		{"version", seal(head(func(b []byte) { b[8] = Version + 1 })), ErrVersion},
		{"kind", seal(head(func(b []byte) { b[9] = 9 })), ErrVersion},
	} {
		if _, err := KindOf(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFullPack(t *testing.T) {
	w := NewWriter(Wire)
	if w.Fits(MaxPayloadBytes+1) || w.Fits(-1) || !w.Fits(MaxPayloadBytes) {
		t.Error("Fits does not know the limit")
	}
	if _, err := w.Append(0, make([]byte, MaxPayloadBytes+1)); !errors.Is(err, ErrFull) {
		t.Errorf("a frame of %d bytes: %v, want ErrFull", MaxPayloadBytes+1, err)
	}
	if _, err := w.Append(0, make([]byte, MaxPayloadBytes)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Append(0, nil); !errors.Is(err, ErrFull) {
		t.Errorf("an empty frame behind a full pack: %v, want ErrFull", err)
	}
	p := w.Finish()
	if len(p.Bytes) != MaxBytes {
		t.Errorf("full pack has %d bytes, want %d", len(p.Bytes), MaxBytes)
	}
	if _, err := Open(append(p.Bytes, 0), p.ID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a pack that is too large: %v, want ErrCorrupt", err)
	}
}

func TestReadFrameBounds(t *testing.T) {
	p := build(t, Wire, []byte("payload"))
	for _, at := range []uint32{0, HeaderBytes - 1, HeaderBytes + 1, p.Size - 1, p.Size, 1 << 31, ^uint32(0)} {
		if f, err := ReadFrame(bytes.NewReader(p.Bytes), p.Size, at); err == nil {
			t.Errorf("frame at %d: %+v", at, f)
		}
	}
}

func TestID(t *testing.T) {
	id := Sum([]byte("abc"))
	// SHA-256 of "abc", FIPS 180-4, appendix B.1.
	const want = "01ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if id.String() != want {
		t.Errorf("ID of abc is %v, want %v", id, want)
	}
	if back, err := ParseID(want); err != nil || back != id {
		t.Errorf("ParseID: %v, %v", back, err)
	}
	for _, bad := range []string{"", want[2:], want + "00", strings.Replace(want, "ba", "xx", 1)} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) says nothing", bad)
		}
	}
	if _, err := ParseID("02" + want[2:]); !errors.Is(err, ErrVersion) {
		t.Errorf("unknown algorithm: %v, want ErrVersion", err)
	}
}

// FuzzFrames feeds the frame reader anything: it must not panic, and what it accepts must survive being written again.
func FuzzFrames(f *testing.F) {
	f.Add(build(f, Wire).Bytes)
	f.Add(build(f, Store, []byte("one"), nil, make([]byte, 100)).Bytes)
	f.Add([]byte("WEIRPACK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		payloads, err := collect(b)
		if err != nil {
			return
		}
		kind, err := KindOf(b)
		if err != nil {
			t.Fatalf("Frames accepts what KindOf refuses: %v", err)
		}
		again, err := collect(build(t, kind, payloads...).Bytes)
		if err != nil || len(again) != len(payloads) {
			t.Fatalf("written again: %d frames of %d, %v", len(again), len(payloads), err)
		}
	})
}

func BenchmarkAppend64K(b *testing.B) {
	payload := make([]byte, 64<<10)
	w := NewWriter(Wire)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if !w.Fits(len(payload)) {
			w.Reset()
		}
		if _, err := w.Append(1, payload); err != nil {
			b.Fatal(err)
		}
	}
}
