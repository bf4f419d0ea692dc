package origin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/fstest"
)

// changedRanges compares two images by blocks of 4 KiB.
func changedRanges(a, b []byte) []Range {
	var out []Range
	for off := 0; off < len(b); off += 4096 {
		if end := min(off+4096, len(b)); !bytes.Equal(a[off:end], b[off:end]) {
			out = append(out, Range{Off: int64(off), Len: int64(end - off), Class: classify.LargeData})
		}
	}
	return out
}

// TestCompare does to a file system what it knows, and asks what was done.
func TestCompare(t *testing.T) {
	for _, m := range []made{systems[0], systems[4], systems[6]} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			path := m.image(t)
			dir, unmount := fstest.Mount(t, path, m.kind)
			fstest.Populate(t, dir, 11)
			unmount()
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir, unmount = fstest.Mount(t, path, m.kind)
			at := func(p string) string { return filepath.Join(dir, p) }
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(os.Rename(at("after"), at("deep/moved")))
			must(os.Remove(at("tiny")))
			must(os.WriteFile(at("new"), bytes.Repeat([]byte("new"), 50000), 0o600))
			f, err := os.OpenFile(at("big"), os.O_WRONLY, 0)
			must(err)
			_, err = f.WriteAt(bytes.Repeat([]byte("x"), 300000), 1<<20)
			must(err)
			must(f.Close())
			if m.kind != "ntfs" { // ntfs-3g keeps no mode by itself
				must(os.Chmod(at("sparse"), 0o400))
			}
			unmount()
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := compare(t, before, after)
			checkChange(t, d, "/deep/moved", Renamed, "/after", 0, 0)
			checkChange(t, d, "/tiny", Deleted, "", 0, 0)
			checkChange(t, d, "/new", Created, "", 150000, 170000)
			checkChange(t, d, "/big", Modified, "", 300000, 320000)
			if m.kind != "ntfs" {
				checkChange(t, d, "/sparse", Metadata, "", 0, 0)
			}
			if !d.Complete {
				t.Error("the comparison is said not to be complete")
			}
			if d.Elsewhere[fs.InodeTable] == 0 {
				t.Error("no inode is said to have changed")
			}
			for _, c := range d.Files {
				if c.Type == fs.File && c.Change != Metadata && !known[c.Path] {
					t.Errorf("%s is said to be %s", c.Path, c.Change)
				}
			}
		})
	}
}

var known = map[string]bool{"/deep/moved": true, "/tiny": true, "/new": true, "/big": true, "/sparse": true}

type memView []byte

func (v memView) ReadAt(p []byte, off int64) error {
	clear(p)
	if off >= 0 && off < int64(len(v)) {
		copy(p, v[off:])
	}
	return nil
}

func compare(t *testing.T, before, after []byte) *Difference {
	t.Helper()
	ctx := context.Background()
	old, err := Read(ctx, memView(before), int64(len(before)))
	if err != nil {
		t.Fatal(err)
	}
	now, err := Read(ctx, memView(after), int64(len(after)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Compare(ctx, old, now, changedRanges(before, after))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func checkChange(t *testing.T, d *Difference, path string, want Change, oldPath string, least, most int64) {
	t.Helper()
	for _, c := range d.Files {
		if c.Path != path {
			continue
		}
		if c.Change != want || c.OldPath != oldPath || c.Sum() < least || c.Sum() > most {
			t.Errorf("%s is %s, was %q, %d bytes; want %s, %q, %d to %d bytes", path, c.Change, c.OldPath, c.Sum(), want, oldPath, least, most)
		}
		return
	}
	t.Errorf("%s is not in the list; want %s", path, want)
}
