package classify

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/fs/fstest"
)

var clusterRun = regexp.MustCompile(`^\s+\d+\s+(\d+)\s+(\d+)\s*$`)

// ntfsRuns are the clusters that ntfscluster names for an attribute of a file record: pairs of first and count.
func ntfsRuns(t *testing.T, path, record, attribute string) [][2]int64 {
	t.Helper()
	var out [][2]int64
	in := false
	for _, line := range strings.Split(fstest.Tool(t, "ntfs-3g", "ntfscluster", "-I", record, path), "\n") {
		if f := clusterRun.FindStringSubmatch(line); f != nil && in {
			first, _ := strconv.ParseInt(f[1], 10, 64)
			n, _ := strconv.ParseInt(f[2], 10, 64)
			out = append(out, [2]int64{first, n})
		} else if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "0x") {
			in = strings.HasPrefix(trimmed, attribute+" ")
		}
	}
	return out
}

// TestNTFSRegions compares the map of a file system that was worked with to what ntfscluster says.
func TestNTFSRegions(t *testing.T) {
	for _, cluster := range []int64{512, 4096, 65536} {
		t.Run(strconv.FormatInt(cluster, 10), func(t *testing.T) {
			t.Parallel()
			const size = 96 << 20
			path := fstest.Empty(t, size)
			fstest.Tool(t, "ntfs-3g", "mkntfs", "-Q", "-q", "-F", "-c", strconv.FormatInt(cluster, 10), path)
			dir, unmount := fstest.Mount(t, path, "ntfs")
			fstest.Populate(t, dir, 3)
			unmount()
			m, err := ReadMap(fstest.Open(t, path), size)
			if err != nil {
				t.Fatal(err)
			}
			if m.FileSystem() != "ntfs" {
				t.Fatalf("file system is %q", m.FileSystem())
			}
			looked := 0
			for _, c := range []struct {
				record, attribute string
				want              Region
			}{
				{"0", "0x80", InodeTable}, {"0", "0xb0", InodeBitmap}, {"1", "0x80", InodeTable}, {"2", "0x80", Journal},
				{"6", "0x80", BlockBitmap}, {"7", "0x80", Superblock}, {"5", "0xa0", Directory}, {"64", "0xa0", Directory},
			} {
				for _, r := range ntfsRuns(t, path, c.record, c.attribute) {
					looked++
					for i := range r[1] {
						if got, _ := m.RegionAt((r[0] + i) * cluster); got != c.want {
							t.Fatalf("cluster %d, of file %s attribute %s, is %v, want %v", r[0]+i, c.record, c.attribute, got, c.want)
						}
					}
				}
			}
			if looked < 7 {
				t.Errorf("only %d runs were looked at", looked)
			}
		})
	}
}
