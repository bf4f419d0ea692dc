package origin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/fstest"
)

// made is a kind of file system that the tests make.
type made struct {
	name, kind string
	size       int64
	mkfs       []string
	debian     string
}

var systems = []made{
	{"ext4", "ext4", 96 << 20, []string{"mkfs.ext4", "-q", "-F"}, "e2fsprogs"},
	{"ext4 1 KiB blocks", "ext4", 64 << 20, []string{"mkfs.ext4", "-q", "-F", "-b", "1024"}, "e2fsprogs"},
	{"ext4 inline data", "ext4", 64 << 20, []string{"mkfs.ext4", "-q", "-F", "-O", "inline_data", "-I", "512"}, "e2fsprogs"},
	{"ext3", "ext4", 64 << 20, []string{"mkfs.ext3", "-q", "-F"}, "e2fsprogs"},
	{"xfs", "xfs", 320 << 20, []string{"mkfs.xfs", "-q", "-f"}, "xfsprogs"},
	{"xfs 1 KiB blocks", "xfs", 320 << 20, []string{"mkfs.xfs", "-q", "-f", "-b", "size=1024", "-n", "size=4096"}, "xfsprogs"},
	{"ntfs", "ntfs", 64 << 20, []string{"mkntfs", "-Q", "-q", "-F"}, "ntfs-3g"},
	{"ntfs 512 byte clusters", "ntfs", 48 << 20, []string{"mkntfs", "-Q", "-q", "-F", "-c", "512"}, "ntfs-3g"},
}

// image makes an empty file system.
func (m made) image(t testing.TB) string {
	t.Helper()
	path := fstest.Empty(t, m.size)
	fstest.Tool(t, m.debian, m.mkfs[0], append(append([]string{}, m.mkfs[1:]...), path)...)
	return path
}

// TestTreeAgainstKernel fills file systems through the kernel (NTFS through ntfs-3g) and compares what a Tree knows with
// what a walk saw: every path, inode and size, and the bytes of each file, read from the image by its runs.
func TestTreeAgainstKernel(t *testing.T) {
	for _, m := range systems {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			path := m.image(t)
			dir, unmount := fstest.Mount(t, path, m.kind)
			fstest.Populate(t, dir, 5)
			want := fstest.Walk(t, dir)
			unmount()
			view := fstest.Open(t, path)
			tree, err := Read(context.Background(), view, m.size)
			if err != nil {
				t.Fatal(err)
			}
			checkTree(t, tree, view, want)
		})
	}
}

// checkTree compares a tree of the only file system of a volume with a walk.
func checkTree(t *testing.T, tree *Tree, view fs.View, want map[string]fstest.Entry) {
	t.Helper()
	got := map[string]*File{}
	for _, f := range tree.systems[0].files {
		for _, p := range f.Paths() {
			got[p] = f
		}
	}
	for p, e := range want {
		f := got[p]
		if p == "/" {
			f = tree.File("/")
		}
		delete(got, p)
		switch {
		case f == nil:
			t.Errorf("%s is not known", p)
		case tree.systems[0].kind != "ntfs" && f.Number != e.Inode:
			t.Errorf("%s is inode %d, want %d", p, f.Number, e.Inode)
		case e.Mode.IsRegular() != (f.Type == fs.File) && tree.systems[0].kind != "ntfs":
			t.Errorf("%s is a %v, want mode %v", p, f.Type, e.Mode)
		case e.Mode.IsRegular():
			checkContent(t, tree, view, f, p, e)
		}
	}
	for p, f := range got {
		if p != "/lost+found" && !f.system.isReserved(f) {
			t.Errorf("%s is too much", p)
		}
	}
}

// isReserved tells the files that NTFS shows in its root although they are its own.
func (s *system) isReserved(f *File) bool { return s.kind == "ntfs" && f.Number < 27 }

func checkContent(t *testing.T, tree *Tree, view fs.View, f *File, p string, e fstest.Entry) {
	t.Helper()
	if f.Size != e.Size {
		t.Errorf("%s has %d bytes, want %d", p, f.Size, e.Size)
		return
	}
	runs := tree.Runs(f)
	if len(runs) == 0 && e.Size > 0 {
		if e.Size > 2000 {
			t.Errorf("%s: %d bytes, no runs", p, e.Size)
		}
		return // within its inode
	}
	b := make([]byte, e.Size)
	for _, r := range runs {
		n := min(r.Len, e.Size-r.File)
		if n <= 0 {
			continue
		}
		if err := view.ReadAt(b[r.File:r.File+n], r.Off); err != nil {
			t.Fatal(err)
		}
		if o, end := tree.At(r.Off); o.File != f || o.Off != r.File || end > r.Off+r.Len {
			t.Errorf("%s: byte %d is said to be %+v up to %d, want offset %d up to %d", p, r.Off, o, end, r.File, r.Off+r.Len)
		}
	}
	if sha256.Sum256(b) != e.Sum {
		t.Errorf("%s: its runs hold other bytes", p)
	}
}

// TestJournalIsReplayed copies the image of a mounted ext4 whose changes have reached its journal only: the tree must
// show them as the next mount would.
func TestJournalIsReplayed(t *testing.T) {
	for _, opt := range [][]string{nil, {"-O", "^metadata_csum,^64bit"}, {"-b", "1024"}} {
		t.Run(fmt.Sprint(opt), func(t *testing.T) {
			t.Parallel()
			m := systems[0]
			m.mkfs = append(append([]string{}, m.mkfs...), opt...)
			path := m.image(t)
			dir, unmount := fstest.Mount(t, path, m.kind)
			fstest.Populate(t, dir, 9)
			fstest.Tool(t, "coreutils", "sync", "-f", dir)
			for i := range 40 {
				old := filepath.Join(dir, "many", fmt.Sprintf("file-with-a-rather-long-name-%04d", 3*i+1))
				if err := os.Rename(old, filepath.Join(dir, fmt.Sprintf("renamed%d", i))); err != nil {
					t.Fatal(err)
				}
			}
			f, err := os.OpenFile(filepath.Join(dir, "big"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(make([]byte, 100000)); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil { // commits the journal; inodes and directories stay where they were
				t.Fatal(err)
			}
			f.Close()
			crashed := filepath.Join(t.TempDir(), "crashed")
			if out, err := exec.Command("cp", "--sparse=always", path, crashed).CombinedOutput(); err != nil {
				t.Fatalf("cp: %v: %s", err, out)
			}
			want := fstest.Walk(t, dir)
			unmount()
			view := fstest.Open(t, crashed)
			tree, err := Read(context.Background(), view, m.size)
			if err != nil {
				t.Fatal(err)
			}
			if tree.systems[0].replayed == 0 {
				t.Error("no block of the journal was used: the test shows nothing")
			}
			checkTree(t, tree, view, want)
		})
	}
}
