package classify

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/fs/fstest"
)

// image makes a file system image of size bytes and returns its path and a view of it.
func image(t testing.TB, size int64, args ...string) (string, fstest.FileView) {
	t.Helper()
	path := fstest.Empty(t, size)
	tool(t, "mkfs.ext4", append(append([]string{"-q", "-F"}, args...), path)...)
	return path, fstest.Open(t, path)
}

func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	return fstest.Tool(t, "e2fsprogs", name, args...)
}

// wanted is what dumpe2fs says of each block, the kinds of later lines over earlier ones.
func wanted(t testing.TB, path string) (block int64, kinds []Region) {
	out := tool(t, "dumpe2fs", path)
	number := func(field string) int64 {
		m := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+)`).FindStringSubmatch(out)
		if m == nil {
			return 0
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		return n
	}
	block = number("Block size")
	kinds = make([]Region, number("Block count"))
	for i := range kinds {
		kinds[i] = Data
	}
	if number("First block") == 1 {
		kinds[0] = Superblock // the boot block
	}
	for _, p := range []struct {
		re   string
		kind Region
	}{
		{`(?:Primary|Backup) superblock at (\d+)()`, Superblock},
		{`Group descriptors? at (\d+)(?:-(\d+))?`, GroupDesc},
		{`Group descriptor at (\d+)()`, GroupDesc},
		{`Reserved GDT blocks at (\d+)-(\d+)`, GroupDesc},
		{`Block bitmap at (\d+)()`, BlockBitmap},
		{`Inode bitmap at (\d+)()`, InodeBitmap},
		{`Inode table at (\d+)-(\d+)`, InodeTable},
	} {
		for _, m := range regexp.MustCompile(`(?i)`+p.re).FindAllStringSubmatch(out, -1) {
			mark(kinds, m[1], m[2], p.kind)
		}
	}
	if number("Journal inode") == 8 {
		for _, b := range strings.Fields(tool(t, "debugfs", "-R", "blocks <8>", path)) {
			if _, err := strconv.Atoi(b); err == nil {
				mark(kinds, b, "", Journal)
			}
		}
	}
	for _, dir := range []string{"<2>", "<11>"} { // the root and lost+found
		for _, b := range strings.Fields(tool(t, "debugfs", "-R", "blocks "+dir, path)) {
			if _, err := strconv.Atoi(b); err == nil {
				mark(kinds, b, "", Directory)
			}
		}
	}
	return block, kinds
}

func mark(kinds []Region, first, last string, kind Region) {
	if last == "" {
		last = first
	}
	a, _ := strconv.Atoi(first)
	b, _ := strconv.Atoi(last)
	for i := a; i <= b && i < len(kinds); i++ {
		kinds[i] = kind
	}
}

// TestExt4Regions compares the map of real file systems with what dumpe2fs and debugfs say of each block.
func TestExt4Regions(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		args []string
	}{
		{"default 1 KiB blocks", 300 << 20, nil},
		{"4 KiB blocks", 1 << 30, []string{"-b", "4096"}},
		{"2 KiB blocks", 512 << 20, []string{"-b", "2048"}},
		{"many groups", 256 << 20, []string{"-b", "1024", "-g", "1024"}},
		{"no flex_bg, no 64bit", 700 << 20, []string{"-b", "4096", "-O", "^flex_bg,^64bit"}},
		{"meta_bg", 300 << 20, []string{"-b", "1024", "-O", "meta_bg,^resize_inode"}},
		{"meta_bg, many groups", 400 << 20, []string{"-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode"}},
		{"sparse_super2", 600 << 20, []string{"-b", "4096", "-O", "sparse_super2,^resize_inode"}},
		{"no sparse_super", 600 << 20, []string{"-b", "4096", "-O", "^sparse_super,^resize_inode"}},
		{"small inodes", 200 << 20, []string{"-I", "128"}},
		{"no journal", 200 << 20, []string{"-O", "^has_journal"}},
		{"ext3 by indirect blocks", 300 << 20, []string{"-O", "^extent,^64bit,^flex_bg,^metadata_csum", "-J", "size=16"}},
		{"a tail that is no whole group", 130<<20 + 77*1024, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, view := image(t, c.size, c.args...)
			block, kinds := wanted(t, path)
			m, err := ReadMap(view, c.size)
			if err != nil {
				t.Fatal(err)
			}
			if m.FileSystem() != "ext4" {
				t.Errorf("file system is %q", m.FileSystem())
			}
			checkKinds(t, m, 0, block, kinds)
		})
	}
}

// checkKinds compares a map, of a file system that begins at off, block by block.
func checkKinds(t *testing.T, m *Map, off, block int64, kinds []Region) {
	t.Helper()
	wrong := 0
	for i, want := range kinds {
		if got, _ := m.RegionAt(off + int64(i)*block); got != want {
			if wrong++; wrong <= 5 {
				t.Errorf("block %d is %v, want %v", i, got, want)
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%d blocks of %d differ", wrong, len(kinds))
	}
}

// TestFragmentedJournal moves parts of the journal away, so that its extents are many.
func TestFragmentedJournal(t *testing.T) {
	path, _ := image(t, 100<<20, "-O", "^has_journal", "-b", "1024")
	var fill strings.Builder
	for i := range 90 {
		fill.WriteString("write " + path + "x f" + strconv.Itoa(i) + "\n")
	}
	if err := os.WriteFile(path+"x", bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 90; i += 2 {
		fill.WriteString("rm f" + strconv.Itoa(i) + "\n")
	}
	script := path + ".cmd"
	if err := os.WriteFile(script, []byte(fill.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "debugfs", "-w", "-f", script, path)
	tool(t, "tune2fs", "-j", "-J", "size=20", path)
	m, err := ReadMap(fstest.Open(t, path), 100<<20)
	if err != nil {
		t.Fatal(err)
	}
	block, kinds := wanted(t, path)
	checkKinds(t, m, 0, block, kinds)
	pieces := 0
	for _, k := range m.kind {
		if k == Journal {
			pieces++
		}
	}
	if pieces < 8 {
		t.Errorf("the journal is in %d pieces; the test needs more", pieces)
	}
}
