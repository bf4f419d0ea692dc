package codec

import (
	"context"
	"testing"
)

func TestMeasure(t *testing.T) {
	old, new, _ := sample()
	m, err := Measure(context.Background(), memView(old), memView(new), int64(len(new)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Changed == 0 || m.Wire == 0 || m.Packs != 1 || m.FileSystem != "" {
		t.Errorf("%+v", m)
	}
	last := m.Changed - 1
	for _, f := range m.Fixed {
		if f.Raw <= last && f.BlockBytes > blockSize || f.Zstd > f.Raw || m.Wire >= f.Zstd {
			t.Errorf("blocks of %d: %d raw, %d zstd; ours %d, changed %d", f.BlockBytes, f.Raw, f.Zstd, m.Wire, m.Changed)
		}
		last = f.Raw
	}
	var wire uint64
	for _, c := range m.Counts {
		wire += c.WireBytes
	}
	if int64(wire) != m.Wire {
		t.Errorf("classes have %d bytes of %d", wire, m.Wire)
	}
}
