package appliance

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
)

// scrubStored scrubs until there is something to scrub: a commit is there before its store packs are.
func scrubStored(t *testing.T, s *System) api.ScrubResult {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		r, err := s.Scrub(t.Context(), 1<<30, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Nodes) > 0 && r.Nodes[0].Packs > 0 {
			return r
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is stored: %+v", r)
		}
	}
}

// TestScrub damages the store packs of a system: scrub names the volume, the range and the points.
func TestScrub(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	put(t, s, "v", bytes.Repeat([]byte("content "), 8192), 0)
	if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
		t.Fatal(err)
	}
	r := scrubStored(t, s)
	if !r.Sound || len(r.Nodes) != 1 {
		t.Errorf("scrub: %+v", r)
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
