package system

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/wire"
)

// A real file system with a real workload over NBD ends on the disk as it was: the bytes, the file system's own check,
// and every file.
func TestFileSystemOverNBD(t *testing.T) {
	need(t, "nbdfuse", "mkfs.ext4", "e2fsck", "sqlite3", "git", "pgbench")
	needRoot(t)
	ctx := testContext(t, 10*time.Minute)
	disk := filepath.Join(t.TempDir(), "disk")
	d := start(t, ctx, upSpec(t, "--volume", "v:2G", "--disk", "v:raw:"+disk, "--epoch", "1s"))

	lap := stopwatch(t)
	files := runWorkload(t, ctx, nbdURI(d, "v"))
	lap("workload")
	waitDisks(t, ctx, d, "v")
	lap("wait for the disk")
	sameAsVolume(t, d, "v", disk)
	lap("compare bytes")
	verified(t, ctx, d)
	lap("weir verify")
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	run(t, ctx, "e2fsck", "-fn", disk)
	sameFiles(t, files, filesOn(t, ctx, disk, "ext4"))
}

// runWorkload makes ext4 on the export, runs the wire workload there and returns the sums of all files.
func runWorkload(t *testing.T, ctx context.Context, uri string) map[string]string {
	t.Helper()
	m, err := harness.Attach(ctx, uri)
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
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	w, err := wire.New(root, m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := w.Steps(ctx)
	if err != nil {
		t.Fatal(err)
	}
	runErr := w.Prepare(ctx)
	for _, step := range steps {
		if runErr != nil {
			break
		}
		runErr = w.Run(ctx, step)
	}
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
	if runErr != nil {
		t.Fatal(runErr)
	}
	return sums(t, m.Dir)
}

// sums returns the SHA-256 of every regular file below dir, and the targets of links.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(p)
			found[rel] = "->" + to
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(p)
		found[rel] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// filesOn mounts a disk image read-only and returns the sums of its files.
func filesOn(t *testing.T, ctx context.Context, image, kind string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run(t, ctx, "mount", "-t", kind, "-o", "ro,loop", image, dir)
	defer run(t, ctx, "umount", dir)
	return sums(t, dir)
}

func sameFiles(t *testing.T, want, got map[string]string) {
	t.Helper()
	if len(want) == 0 {
		t.Error("the workload left no files")
	}
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] && bad < 10 {
			bad++
			t.Errorf("%s: %q on the disk, %q on the volume", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files on the disk, %d on the volume", len(got), len(want))
	}
}
