package system

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
)

// What is done to the files of a mounted ext4 between two points is what the comparison of the points names, although
// much of it lies in the journal only.
func TestSnapshotDiff(t *testing.T) {
	need(t, "nbdfuse", "mkfs.ext4")
	needRoot(t)
	ctx := testContext(t, 5*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:256M", "--epoch", "1s"))
	m, err := harness.Attach(ctx, nbdURI(d, "v"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := m.Format(ctx); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(m.Dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(at("home/a"), 0o755))
	for _, name := range []string{"home/a/kept", "home/a/gone", "home/a/old", "home/a/edited", "home/a/mode"} {
		must(os.WriteFile(at(name), bytes.Repeat([]byte(name), 5000), 0o644))
	}
	run(t, ctx, "sync", "-f", m.Dir)
	weir(t, ctx, d, "snapshot", "create", "v@first")

	must(os.Remove(at("home/a/gone")))
	must(os.Rename(at("home/a/old"), at("home/renamed")))
	must(os.WriteFile(at("home/a/new"), bytes.Repeat([]byte("new"), 30000), 0o600))
	f, err := os.OpenFile(at("home/a/edited"), os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteAt([]byte("another line"), 12345)
	must(err)
	must(f.Close())
	must(os.Chmod(at("home/a/mode"), 0o400))
	run(t, ctx, "sync", "-f", m.Dir)
	weir(t, ctx, d, "snapshot", "create", "v@second")

	var diff api.SnapshotDiff
	must(json.Unmarshal([]byte(weir(t, ctx, d, "snapshot", "diff", "v@first", "v@second", "--json")), &diff))
	got := map[string]api.FileChange{}
	for _, f := range diff.Files {
		if f.Type == "file" {
			got[f.Path] = f
		}
	}
	var edited uint64
	for path, want := range map[string]struct {
		change string
		bytes  int64
	}{
		"/home/a/gone": {"deleted", 0}, "/home/renamed": {"renamed", 0}, "/home/a/new": {"created", 90112},
		"/home/a/edited": {"modified", 512}, "/home/a/mode": {"metadata", 0},
	} {
		if f := got[path]; f.Change != want.change || f.Bytes != want.bytes {
			t.Errorf("%s: %+v, want %s with %d bytes", path, f, want.change, want.bytes)
		}
		if want.change == "renamed" && got[path].OldPath != "/home/a/old" {
			t.Errorf("renamed from %q", got[path].OldPath)
		}
		if path == "/home/a/edited" {
			edited = got[path].Inode
		}
		delete(got, path)
	}
	for path, f := range got {
		t.Errorf("%s is said to be %s", path, f.Change)
	}
	var e api.Explanation
	must(json.Unmarshal([]byte(weir(t, ctx, d, "explain", "v@second", "--file", "/home/a/edited", "--json")), &e))
	if len(e.Parts) == 0 || e.Parts[0].Path != "/home/a/edited" || e.Parts[0].Inode != edited || e.Changes == nil {
		t.Errorf("explanation of a file: %+v", e)
	}
	if !diff.Complete || diff.FileSystem != "ext4" {
		t.Errorf("complete %v, file system %q", diff.Complete, diff.FileSystem)
	}
}
