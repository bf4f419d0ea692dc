package appliance

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
)

// TestScrub damages the store packs of a system: scrub names the volume, the range and the points.
func TestScrub(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	put(t, s, "v", bytes.Repeat([]byte("content "), 8192), 0)
	if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
		t.Fatal(err)
	}
	r, err := s.Scrub(t.Context(), 1<<30, quiet)
	if err != nil || !r.Sound || len(r.Nodes) != 1 || r.Nodes[0].Packs == 0 {
		t.Errorf("scrub: %+v, %v", r, err)
	}
	stop(t, s)
	packs, err := filepath.Glob(filepath.Join(c.Data, "provider", "replica", "store", "*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("store packs: %v, %v", packs, err)
	}
	for _, name := range packs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(b) / 4; i < len(b); i += 100 {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.Replication = false // nothing is written to the packs meanwhile
	s = start(t, api.RoleAll, c)
	defer stop(t, s)
	r, err = s.Scrub(t.Context(), 0, quiet)
	if err != nil || r.Sound || len(r.Nodes) != 1 || len(r.Nodes[0].Damages) == 0 {
		t.Fatalf("scrub of damaged packs: %+v, %v", r, err)
	}
	for _, d := range r.Nodes[0].Damages {
		if d.Volume != "v" || d.Range.Len == 0 || d.Range.Off >= 65536 || len(d.Points) == 0 || d.Error == "" {
			t.Errorf("damage %+v", d)
		}
	}
}
