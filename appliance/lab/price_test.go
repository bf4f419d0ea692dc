package lab

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestImages prices two images that differ by an edit and a copy.
func TestImages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	old := append(text(rnd, 600<<10), make([]byte, 424<<10)...)
	new := append([]byte(nil), old...)
	copy(new[5000:], "edited")
	copy(new[700<<10:], old[100<<10:200<<10])
	dir := t.TempDir()
	a, b := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	for path, content := range map[string][]byte{a: old, b: new} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Images(t.Context(), a, b, "")
	if err != nil {
		t.Fatal(err)
	}
	cost := make(map[string]int64)
	for _, r := range p.Rows {
		cost[r.Way] = r.Bytes
		if strings.HasPrefix(r.Way, "weir") && (r.Bytes == 0 || r.Bytes > 1000 && r.Way != "weir, fast") {
			t.Errorf("%s: %d bytes", r.Way, r.Bytes)
		}
	}
	if cost["blocks of 4 KiB"] != p.Changed || p.Changed != 104<<10 || cost["blocks of 1024 KiB"] != 1<<20 || len(cost) != 10 {
		t.Errorf("%d changed; %+v", p.Changed, cost)
	}
	if len(p.Classes) == 0 {
		t.Error("no classes")
	}
	for _, pair := range [][2]string{{a, dir + "/none"}, {dir + "/none", b}, {os.DevNull, b}} {
		if _, err := Images(t.Context(), pair[0], pair[1], ""); err == nil {
			t.Errorf("priced %v", pair)
		}
	}
}
