package appliance

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// An image becomes a volume while the system runs: it is served at once, its first sync is visible until the provider
// has all of it, and a disk gets exactly its content. It stays the volume's base over a restart.
func TestAdoptImage(t *testing.T) {
	c := testConfig(t)
	dir := t.TempDir()
	image, disk := filepath.Join(dir, "old.img"), filepath.Join(dir, "copy.img")
	content := make([]byte, 48<<20)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 3 << 20 {
		content[i+8<<20] = byte(rng.Uint32())
	}
	copy(content[len(content)-512:], "the end")
	if err := os.WriteFile(image, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, api.RoleAll, c)
	refused := func(in api.VolumeCreate, want error) {
		t.Helper()
		if _, err := s.CreateVolume(t.Context(), in); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", in, err, want)
		}
	}
	refused(api.VolumeCreate{Name: "x", BlockSize: 512, Adopt: "old.img"}, api.ErrInvalid)
	refused(api.VolumeCreate{Name: "x", BlockSize: 512, Adopt: dir}, api.ErrInvalid)
	refused(api.VolumeCreate{Name: "x", BlockSize: 512, Adopt: filepath.Join(c.Data, "LOCK")}, api.ErrInvalid)
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	refused(api.VolumeCreate{Name: "x", BlockSize: 512, Adopt: image}, api.ErrConflict)
	f.Close()
	v, err := s.CreateVolume(t.Context(), api.VolumeCreate{Name: "v", BlockSize: 512, Adopt: image})
	if err != nil || v.Size != int64(len(content)) || v.Image != image {
		t.Fatalf("%+v, %v", v, err)
	}
	client := dial(t, s, "v")
	got := make([]byte, 1<<20)
	if err := client.ReadAt(got, 8<<20); err != nil || !bytes.Equal(got, content[8<<20:9<<20]) {
		t.Fatalf("the volume does not have the image's content: %v", err)
	}
	copy(content[9<<20:], "written while it is sent")
	if err := client.WriteAt(content[9<<20:9<<20+512], 9<<20, true); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if _, err := s.AddDisk(t.Context(), api.DiskAdd{Volume: "v", Kind: "raw", Place: disk}); err != nil {
		t.Fatal(err)
	}
	if w, err := s.Wait(t.Context(), "v", quiet); err != nil || len(w.Disks) != 1 {
		t.Fatalf("%+v, %v", w, err)
	}
	if copied, err := os.ReadFile(disk); err != nil || !bytes.Equal(copied, content) {
		t.Fatalf("the disk is not the volume: %v", err)
	}
	if r, err := s.Verify(t.Context(), "v", quiet); err != nil || !r.Equal {
		t.Errorf("verify: %+v, %v", r, err)
	}
	for _, v := range s.Status().Volumes {
		if v.FirstSync != nil || v.Image != image {
			t.Errorf("after the first sync: %+v", v)
		}
	}
	stop(t, s)
	s = start(t, api.RoleAll, c)
	deadline := time.Now().Add(time.Minute)
	for removed := false; !removed; { // a session may be counted until its connection is seen to be gone
		err := s.DeleteVolume(t.Context(), "v", false)
		if removed = err == nil; !removed && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	stop(t, s)
	if left, err := os.ReadFile(image); err != nil || !bytes.Equal(left, content) {
		t.Errorf("a deleted volume leaves its image with the content that it had: %v", err)
	}
}
