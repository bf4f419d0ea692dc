package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
)

// pins is a cluster that keeps pins, and can be away.
type pins struct {
	mu   sync.Mutex
	have map[ident.UUID]ident.Point
	away error
}

func newPins() *pins { return &pins{have: map[ident.UUID]ident.Point{}} }

func (p *pins) Pin(_ context.Context, id ident.UUID, at ident.Point, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil {
		p.have[id] = at
	}
	return p.away
}

func (p *pins) Unpin(_ context.Context, id ident.UUID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil {
		delete(p.have, id)
	}
	return p.away
}

func (p *pins) Pinned(context.Context) ([]ident.UUID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []ident.UUID
	for id := range p.have {
		out = append(out, id)
	}
	return out, p.away
}

func (p *pins) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.have)
}

// await waits until the cluster has so many pins.
func (p *pins) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); p.count() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d pins, want %d", p.count(), n)
		}
	}
}

var point = ident.Point{Group: ident.GroupID{UUID: ident.UUID{9}}, Timeline: ident.Timeline{UUID: ident.UUID{8}}, End: 7}

func specOf(name string, volumes ...string) Spec {
	s := Spec{Name: name, Group: "main", Point: point}
	for i, v := range volumes {
		s.Volumes = append(s.Volumes, Volume{ID: ident.VolumeID{UUID: ident.UUID{byte(i + 1)}}, Name: v, Size: size, BlockSize: 512})
	}
	return s
}

func openSet(t testing.TB, fs vfs.FS, folder string, p *pins, base *memory) (*Set, error) {
	return Open(Options{Dir: folder, FS: fs, Pins: p, Base: func(ident.Point, Volume) Base { return base }, Retry: time.Millisecond})
}

func mustOpen(t *testing.T, fs vfs.FS, folder string, p *pins, base *memory) *Set {
	t.Helper()
	s, err := openSet(t, fs, folder, p, base)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t *testing.T, s *Set) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func contentOf(t *testing.T, d target.Device) []byte {
	t.Helper()
	b := make([]byte, d.Size())
	if err := d.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSeveralClones: clones of one point do not see each other's writes, survive restarts, and leave nothing behind.
func TestSeveralClones(t *testing.T) {
	folder, p, base := filepath.Join(t.TempDir(), "clones"), newPins(), newMemory(1, size)
	s := mustOpen(t, vfs.OS{}, folder, p, base)
	for _, name := range []string{"", "b", ""} {
		if _, err := s.Create(t.Context(), specOf(name, "v", "w")); err != nil {
			t.Fatal(err)
		}
	}
	readOnly := specOf("ro", "v")
	readOnly.ReadOnly = true
	if _, err := s.Create(t.Context(), readOnly); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for i, c := range s.List() {
		for _, d := range c.Devices() {
			text := []byte(d.Name())
			err := d.WriteAt(text, int64(100*i), true)
			if c.Spec().ReadOnly != errors.Is(err, target.ErrReadOnly) || d.ReadOnly() != c.Spec().ReadOnly {
				t.Errorf("write to %s: %v", d.Name(), err)
			}
			want[d.Name()] = bytes.Clone(base.b)
			if err == nil {
				copy(want[d.Name()][100*i:], text)
			}
		}
	}
	mustClose(t, s)
	s = mustOpen(t, vfs.OS{}, folder, p, base)
	if len(want) != 7 || p.count() != 4 {
		t.Fatalf("%d devices, %d pins", len(want), p.count())
	}
	for _, c := range s.List() {
		for _, d := range c.Devices() {
			if !bytes.Equal(contentOf(t, d), want[d.Name()]) {
				t.Errorf("%s has other content after a restart", d.Name())
			}
			if own := d.OwnBytes(); (own == BlockBytes) == c.Spec().ReadOnly {
				t.Errorf("%s holds %d bytes itself", d.Name(), own)
			}
		}
	}
	used := s.Find("b").Device("v")
	for _, name := range []string{"b", "clone-1", "clone-2", "ro"} {
		if err := s.Delete(name); err != nil {
			t.Error(err)
		}
	}
	p.await(t, 0)
	if err := used.ReadAt(make([]byte, 1), 0); !errors.Is(err, target.ErrClosed) {
		t.Errorf("read of a deleted clone: %v", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	mustClose(t, s)
}

func TestRefusals(t *testing.T) {
	folder, p, base := filepath.Join(t.TempDir(), "clones"), newPins(), newMemory(1, size)
	s := mustOpen(t, vfs.OS{}, folder, p, base)
	defer mustClose(t, s)
	if _, err := s.Create(t.Context(), specOf("a", "v")); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(t.TempDir(), "full")
	if err := os.WriteFile(full, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	placed := specOf("b", "v")
	placed.Volumes[0].Place = full
	for name, step := range map[string]struct {
		spec Spec
		want error
	}{
		"same name":  {specOf("a", "v"), ErrExists},
		"bad name":   {specOf("A b", "v"), ErrSpec},
		"no volume":  {specOf("b"), ErrSpec},
		"twice":      {specOf("b", "v", "v"), ErrSpec},
		"full place": {placed, ErrSpec},
	} {
		if _, err := s.Create(t.Context(), step.spec); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
	}
	if b, err := os.ReadFile(full); err != nil || string(b) != "somebody's" {
		t.Errorf("a refused place was changed: %q, %v", b, err)
	}
	if err := s.Delete("never"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of nothing: %v", err)
	}
	p.mu.Lock()
	p.away = errors.New("away")
	p.mu.Unlock()
	if _, err := s.Create(t.Context(), specOf("c", "v")); !errors.Is(err, p.away) || s.Find("c") != nil {
		t.Errorf("clone without a pin: %v", err)
	}
	if err := s.Delete("a"); err != nil {
		t.Errorf("delete without the cluster: %v", err)
	}
	p.mu.Lock()
	p.away = nil
	p.mu.Unlock()
	p.await(t, 0)
}

// TestSetPowerLoss cuts the power at every k-th operation of making and deleting clones: each is there whole or not at
// all, and pins and files are those of the clones that are there.
func TestSetPowerLoss(t *testing.T) {
	for k := 1; ; k++ {
		fs, p, base := vfs.NewMem(uint64(k)), newPins(), newMemory(1, size)
		fs.SetHook(func(op vfs.Op) error {
			if op.Number >= k {
				return vfs.ErrPowerLost
			}
			return nil
		})
		made, deleted, err := work(t, fs, p, base)
		fs = fs.AfterPowerLoss()
		s := mustOpen(t, fs, dir, p, base)
		for name := range made {
			if c := s.Find(name); (c == nil || c.Err() != nil) && !deleted[name] {
				t.Fatalf("crash at %d: clone %s is gone, or not served: %v", k, name, c)
			}
		}
		files := 0
		for _, c := range s.List() {
			if c.Err() != nil {
				t.Fatalf("crash at %d: clone %s: %v", k, c.Spec().Name, c.Err())
			}
			files += 1 + 2*len(c.Devices())
		}
		p.await(t, len(s.List()))
		if names, err := fs.List(dir); err != nil || len(names) != files {
			t.Fatalf("crash at %d: files %v for %d clones: %v", k, names, len(s.List()), err)
		}
		mustClose(t, s)
		if err == nil {
			t.Logf("%d operations", k-1)
			return
		}
	}
}

// work makes and deletes clones until something fails. A deletion that failed may be done or not.
func work(t *testing.T, fs vfs.FS, p *pins, base *memory) (made, deleted map[string]bool, err error) {
	made, deleted = map[string]bool{}, map[string]bool{}
	s, err := openSet(t, fs, dir, p, base)
	if err != nil {
		return made, deleted, err
	}
	defer func() { _ = s.Close() }()
	for i := range 3 {
		name := fmt.Sprintf("c%d", i)
		if _, err := s.Create(t.Context(), specOf(name, "v", "w")); err != nil {
			return made, deleted, err
		}
		made[name] = true
		if i == 1 {
			deleted["c0"] = true
			if err := s.Delete("c0"); err != nil {
				return made, deleted, err
			}
		}
	}
	return made, deleted, nil
}

// TestFill copies a point into a clone that is written to meanwhile; in the end its file is a plain disk, the pin is
// gone, and the base is not read any more.
func TestFill(t *testing.T) {
	place := filepath.Join(t.TempDir(), "disk.img")
	folder, p, base := filepath.Join(t.TempDir(), "clones"), newPins(), newMemory(5, size)
	s := mustOpen(t, vfs.OS{}, folder, p, base)
	spec := specOf("a", "v")
	spec.Volumes[0].Place = place
	c, err := s.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	d := c.Device("v")
	want := bytes.Clone(base.b)
	copy(want[5000:], "written before")
	if err := d.WriteAt([]byte("written before"), 5000, false); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 50 {
			off := int64(i * 1900)
			text := fmt.Sprintf("meanwhile %d", i)
			copy(want[off:], text)
			if err := d.WriteAt([]byte(text), off, i%7 == 0); err != nil {
				t.Error(err)
			}
		}
	})
	if c.Filled() {
		t.Error("filled at once")
	}
	if err := s.Fill(t.Context(), "a", nil); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := d.Flush(); err != nil || !c.Filled() || c.OwnBytes() != size {
		t.Errorf("filled %v, %d of %d bytes: %v", c.Filled(), c.OwnBytes(), size, err)
	}
	p.await(t, 0)
	mustClose(t, s)
	if b, err := os.ReadFile(place); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the disk is not what the clone was: %v", err)
	}
	s = mustOpen(t, vfs.OS{}, folder, p, nil)
	if !bytes.Equal(contentOf(t, s.Find("a").Device("v")), want) || p.count() != 0 {
		t.Error("a filled clone reads something else after a restart, or pinned its point again")
	}
	if err := s.Delete("a"); err != nil {
		t.Error(err)
	}
	mustClose(t, s)
	if b, err := os.ReadFile(place); err != nil || !bytes.Equal(b, want) {
		t.Errorf("the disk went with the clone: %v", err)
	}
}

// TestDamagedClone is listed with its error, keeps its pin, and can be deleted.
func TestDamagedClone(t *testing.T) {
	folder, p, base := filepath.Join(t.TempDir(), "clones"), newPins(), newMemory(1, size)
	s := mustOpen(t, vfs.OS{}, folder, p, base)
	for _, name := range []string{"a", "b"} {
		if _, err := s.Create(t.Context(), specOf(name, "v")); err != nil {
			t.Fatal(err)
		}
	}
	maps := s.files(s.Find("a").Spec().ID).maps(&s.Find("a").Spec().Volumes[0])
	desc := s.files(s.Find("b").Spec().ID).spec()
	mustClose(t, s)
	for _, name := range []string{maps, desc} {
		if err := os.WriteFile(name, []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, vfs.OS{}, folder, p, base)
	defer mustClose(t, s)
	for _, c := range s.List() {
		if !errors.Is(c.Err(), ErrDamaged) {
			t.Errorf("%s: %v", c.Spec().Name, c.Err())
		}
	}
	if len(s.List()) != 2 || p.count() != 2 {
		t.Fatalf("%d clones, %d pins", len(s.List()), p.count())
	}
	for _, c := range s.List() {
		if !strings.HasPrefix(c.Spec().Name, "damaged-") && c.Spec().Name != "a" {
			t.Errorf("damaged clone is called %s", c.Spec().Name)
		}
		if err := s.Delete(c.Spec().Name); err != nil {
			t.Error(err)
		}
	}
	p.await(t, 0)
}
