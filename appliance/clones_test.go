package appliance

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
)

// put writes p at off of an export over NBD, flushed, and get reads.
func put(t *testing.T, s *System, export string, p []byte, off int64) {
	t.Helper()
	n := dial(t, s, export)
	defer func() { _ = n.Close() }()
	if err := errors.Join(n.WriteAt(p, off, false), n.Flush()); err != nil {
		t.Fatalf("%s: %v", export, err)
	}
}

func get(t *testing.T, s *System, export string, off int64, n int) []byte {
	t.Helper()
	c := dial(t, s, export)
	defer func() { _ = c.Close() }()
	p := make([]byte, n)
	if err := c.ReadAt(p, off); err != nil {
		t.Fatalf("%s: %v", export, err)
	}
	return p
}

// getISCSI reads through the other door.
func getISCSI(t *testing.T, s *System, export string, off int64, n int) []byte {
	t.Helper()
	i, err := initiator.Dial(t.Context(), s.Addresses().ISCSI, iscsi.IQN(export), initiator.Options{})
	if err != nil {
		t.Fatalf("%s: %v", export, err)
	}
	p := make([]byte, n)
	if err := errors.Join(i.ReadAt(p, off), i.Logout()); err != nil {
		t.Fatalf("%s: %v", export, err)
	}
	return p
}

// TestClones serves a point of two volumes several times, writes to the clones, outlives retention and a restart, and
// leaves nothing behind.
func TestClones(t *testing.T) {
	c := testConfig(t)
	c.KeepLast = 1
	c.Volumes = []config.Volume{{Name: "v", Size: 4 << 20, BlockSize: 512}, {Name: "w", Size: 2 << 20, BlockSize: 4096}}
	s := start(t, api.RoleAll, c)
	old, fresh := bytes.Repeat([]byte("old....."), 1024), bytes.Repeat([]byte("fresh..."), 1024)
	for _, v := range []string{"v", "w"} {
		put(t, s, v, old, 8192)
		if _, err := s.Wait(t.Context(), v, quiet); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Snapshots(t.Context(), groupName)
	if err != nil || len(list) == 0 {
		t.Fatalf("points: %v, %v", list, err)
	}
	point := list[0] // the head: nothing but the clones keeps it
	end := pointText(point)
	both, err := s.CreateClone(t.Context(), api.CloneCreate{Group: groupName, Point: end, Name: "both", Writable: true})
	if err != nil || len(both.Volumes) != 2 {
		t.Fatalf("clone: %+v, %v", both, err)
	}
	one, err := s.CreateClone(t.Context(), api.CloneCreate{Group: groupName, Point: end, Volumes: []string{"v"}, Writable: true})
	if err != nil || one.Name != "clone-1" {
		t.Fatalf("clone: %+v, %v", one, err)
	}
	if _, err := s.CreateClone(t.Context(), api.CloneCreate{Group: groupName, Point: end, Name: "still"}); err != nil {
		t.Fatal(err)
	}
	cloneRefusals(t, s, end)
	for i := range 3 {
		put(t, s, "v", fresh, int64(i)*65536)
		if _, err := s.Wait(t.Context(), "v", quiet); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "v@both", bytes.Repeat([]byte("written "), 64), 9216)
	put(t, s, "v@clone-1", fresh, 0)
	check := func() {
		t.Helper()
		want := bytes.Clone(old)
		copy(want[1024:], bytes.Repeat([]byte("written "), 64))
		for export, want := range map[string][]byte{"v@both": want, "w@both": old, "v@still": old} {
			if !bytes.Equal(get(t, s, export, 8192, len(want)), want) || !bytes.Equal(getISCSI(t, s, export, 8192, len(want)), want) {
				t.Errorf("%s holds something else", export)
			}
		}
		if !bytes.Equal(get(t, s, "v@clone-1", 0, 8192), fresh) || !bytes.Equal(get(t, s, "v@clone-1", 8192, 512), old[:512]) {
			t.Error("v@clone-1 holds something else")
		}
	}
	check()
	if err := s.DeleteSnapshot(t.Context(), groupName, end); !errors.Is(err, api.ErrConflict) {
		t.Errorf("deletion of a point that is served: %v", err)
	}
	stop(t, s)
	s = start(t, api.RoleAll, c)
	defer func() { stop(t, s) }()
	check()
	clones, err := s.Clones(t.Context())
	if err != nil || len(clones) != 3 {
		t.Fatalf("clones: %+v, %v", clones, err)
	}
	for _, x := range clones {
		if want := map[string]int64{"both": 4096, "clone-1": 8192, "still": 0}[x.Name]; x.OwnBytes != want || x.Point.End != point.Point.End || x.Error != "" {
			t.Errorf("clone %+v, want %d bytes of its own", x, want)
		}
	}
	deleteClones(t, s, c.Data, point)
}

func pointText(p api.Snapshot) string { return strconv.FormatUint(p.Point.End, 10) }

func cloneRefusals(t *testing.T, s *System, end string) {
	t.Helper()
	for name, step := range map[string]struct {
		in   api.CloneCreate
		want error
	}{
		"name taken":   {api.CloneCreate{Group: groupName, Point: end, Name: "both"}, api.ErrConflict},
		"no point":     {api.CloneCreate{Group: groupName, Point: "never"}, api.ErrNotFound},
		"no volume":    {api.CloneCreate{Group: groupName, Point: end, Volumes: []string{"x"}}, api.ErrNotFound},
		"bad name":     {api.CloneCreate{Group: groupName, Point: end, Name: "7"}, api.ErrInvalid},
		"data folder":  {api.CloneCreate{Group: groupName, Point: end, Writable: true, Places: map[string]string{"v": filepath.Join(s.cfg.Data, "x")}}, api.ErrInvalid},
		"other volume": {api.CloneCreate{Group: groupName, Point: end, Writable: true, Volumes: []string{"w"}, Places: map[string]string{"v": "/x"}}, api.ErrInvalid},
	} {
		if _, err := s.CreateClone(t.Context(), step.in); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", name, err, step.want)
		}
	}
	if _, err := s.CreateSnapshot(t.Context(), groupName, "both"); !errors.Is(err, api.ErrConflict) {
		t.Errorf("point with the name of a clone: %v", err)
	}
}

// deleteClones removes all clones; then nothing of them is left, and the point goes too.
func deleteClones(t *testing.T, s *System, data string, point api.Snapshot) {
	t.Helper()
	attached := dial(t, s, "v@both")
	if err := s.DeleteClone(t.Context(), "both", false); !errors.Is(err, api.ErrConflict) {
		t.Errorf("deletion of an attached clone: %v", err)
	}
	if err := s.DeleteClone(t.Context(), "both", true); err != nil {
		t.Error(err)
	}
	if err := attached.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("a deleted clone is read")
	}
	_ = attached.Close()
	for _, name := range []string{"clone-1", "still"} {
		if err := s.DeleteClone(t.Context(), name, false); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(data, "clones")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		list, err := s.Snapshots(t.Context(), groupName)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(p api.Snapshot) bool { return p.Point == point.Point }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the point of the clones stays although nobody needs it")
		}
	}
}

// cloneAtProvider serves a point at a node without a gateway.
func cloneAtProvider(t *testing.T, p *System, end string) {
	t.Helper()
	if _, err := p.CreateClone(t.Context(), api.CloneCreate{Group: groupName, Point: end, Name: "c", Writable: true}); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("clone..."), 1024)
	put(t, p, "v@c", want, 4096)
	if !bytes.Equal(getISCSI(t, p, "v@c", 4096, len(want)), want) {
		t.Error("the clone holds something else")
	}
	attached := dial(t, p, "v@c")
	if err := p.DeleteClone(t.Context(), "c", false); !errors.Is(err, api.ErrConflict) {
		t.Errorf("deletion of an attached clone: %v", err)
	}
	_ = attached.Close()
	if err := p.DeleteClone(t.Context(), "c", true); err != nil {
		t.Error(err)
	}
}
