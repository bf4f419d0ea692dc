package trace

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func sample(t testing.TB) []byte {
	var b bytes.Buffer
	w, err := NewWriter(&b, 1<<20)
	if err == nil {
		err = errors.Join(w.Step("one"), w.Write(0, []byte("abc")), w.Write(1<<20-1, []byte{7}), w.Step("two"),
			w.Write(4096, bytes.Repeat([]byte{1}, payloadMax/2)), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	r, err := NewReader(bytes.NewReader(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, want := range []Record{
		{Step: "one"}, {Off: 0, Data: []byte("abc")}, {Off: 1<<20 - 1, Data: []byte{7}}, {Step: "two"},
		{Off: 4096, Data: bytes.Repeat([]byte{1}, payloadMax/2)},
	} {
		got, err := r.Next()
		if err != nil || got.Step != want.Step || got.Off != want.Off || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("record %d: %q at %d, %d bytes, %v", i, got.Step, got.Off, len(got.Data), err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) || r.Size() != 1<<20 {
		t.Errorf("end: %v, size %d", err, r.Size())
	}
}

func TestRefusals(t *testing.T) {
	w, err := NewWriter(io.Discard, 1)
	if err != nil {
		t.Fatal(err)
	}
	if w.Write(0, make([]byte, payloadMax+1)) == nil || w.Write(0, nil) == nil {
		t.Error("a record of a forbidden length was written")
	}
	var b bytes.Buffer
	w, err = NewWriter(&b, 10)
	if err == nil {
		err = errors.Join(w.Write(8, []byte("abc")), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(); !errors.Is(err, ErrFormat) {
		t.Errorf("write beyond the device: %v, want %v", err, ErrFormat)
	}
	whole := sample(t)
	for n := 0; n < len(whole); n += 1 + n/8 {
		if err := drain(whole[:n]); err == nil {
			t.Fatalf("a trace cut at %d was read to its end", n)
		}
	}
}

func drain(b []byte) error {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		if _, err := r.Next(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Fuzz(func(_ *testing.T, b []byte) { _ = drain(b) })
}
