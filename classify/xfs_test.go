package classify

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/weirstor/weir/classify/fs/fstest"
)

// xfsKinds are the kinds of blocks that xfs_db's blockuse tells apart; all others are file content or free.
var xfsKinds = map[string]Region{
	"sb": Superblock, "btbno": BlockBitmap, "btcnt": BlockBitmap, "btrmap": BlockBitmap, "btrefcnt": BlockBitmap,
	"btino": InodeBitmap, "btfino": InodeBitmap, "inode": InodeTable, "log": Journal, "dir": Directory, "btbmapd": ExtentTree,
}

// TestXFSRegions compares the map of file systems that were worked with to what xfs_db says of each block.
func TestXFSRegions(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		args []string
		work bool // by the kernel, which refuses version 4
	}{
		{"1 KiB blocks, no sparse inodes", 320 << 20, []string{"-b", "size=1024", "-i", "sparse=0"}, true},
		{"rmapbt, large directory blocks", 320 << 20, []string{"-m", "rmapbt=1,reflink=1", "-n", "size=16384"}, true},
		{"more groups", 512 << 20, []string{"-d", "agcount=7"}, true},
		{"version 4", 320 << 20, []string{"-m", "crc=0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := fstest.Empty(t, c.size)
			fstest.Tool(t, "xfsprogs", "mkfs.xfs", append(append([]string{"-q", "-f"}, c.args...), path)...)
			if c.work {
				dir, unmount := fstest.Mount(t, path, "xfs")
				fstest.Populate(t, dir, 3)
				unmount()
			}
			view := fstest.Open(t, path)
			m, err := ReadMap(view, c.size)
			if err != nil {
				t.Fatal(err)
			}
			if m.FileSystem() != "xfs" {
				t.Fatalf("file system is %q", m.FileSystem())
			}
			checkXFS(t, m, path, view)
		})
	}
}

var blockUse = regexp.MustCompile(`(?m)^block \d+ \((\d+)/(\d+)\) type (\S+)`)

// checkXFS compares block by block.
func checkXFS(t *testing.T, m *Map, path string, view View) {
	t.Helper()
	number := func(field string) int64 {
		out := fstest.Tool(t, "xfsprogs", "xfs_db", "-r", "-c", "sb 0", "-c", "p "+field, path)
		n, err := strconv.ParseInt(regexp.MustCompile(`= (\d+)`).FindStringSubmatch(out)[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	block, perAG, ags, blocks := number("blocksize"), number("agblocks"), number("agcount"), number("dblocks")
	cmd := []string{"-r", "-c", "blockget -n"}
	for ag := range ags {
		n := min(perAG, blocks-ag*perAG)
		cmd = append(cmd, "-c", "agf "+strconv.FormatInt(ag, 10), "-c", "daddr "+strconv.FormatInt(ag*perAG*block/512, 10),
			"-c", "blockuse -c "+strconv.FormatInt(n, 10))
	}
	wrong, seen, kinds := 0, int64(0), map[Region]int{}
	for _, f := range blockUse.FindAllStringSubmatch(fstest.Tool(t, "xfsprogs", "xfs_db", append(cmd, path)...), -1) {
		ag, _ := strconv.ParseInt(f[1], 10, 64)
		n, _ := strconv.ParseInt(f[2], 10, 64)
		want, ok := xfsKinds[f[3]]
		if !ok {
			want = Data
		}
		if n > 0 && n*block < 4*512 {
			want = GroupDesc // the headers of a group fill several small blocks
		}
		seen++
		kinds[want]++
		got, _ := m.RegionAt((ag*perAG + n) * block)
		if got == ExtentTree && want == Data && isBmap(t, view, (ag*perAG+n)*block) {
			continue // xfs_db counts the trees of extents among the data
		}
		if got != want {
			if wrong++; wrong <= 5 {
				t.Errorf("block %d/%d is %v, want %v (%s)", ag, n, got, want, f[3])
			}
		}
	}
	if wrong > 0 || seen != blocks {
		t.Errorf("%d of %d blocks differ, %d looked at", wrong, blocks, seen)
	}
	t.Logf("kinds: %v", kinds)
}

// isBmap reports whether a block is part of a tree of extents, by its magic.
func isBmap(t *testing.T, view View, off int64) bool {
	t.Helper()
	var b [4]byte
	if err := view.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	return string(b[:]) == "BMA3"
}
