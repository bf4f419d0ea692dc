package ntfs

import (
	"testing"
)

type zeroView struct{}

func (zeroView) ReadAt(p []byte, _ int64) error {
	clear(p)
	return nil
}

// TestRunBeyondFile reads a stream whose second run begins where no file reaches: behind a hole of so many clusters that
// their bytes are no number of 63 bits.
func TestRunBeyondFile(t *testing.T) {
	for _, cluster := range []int64{512, 4096, 64 << 10, 2 << 20} {
		f := &FileSystem{r: zeroView{}, cluster: cluster, total: 8 * cluster}
		for width := range 8 {
			list := append([]byte{byte(width + 1)}, make([]byte, width+1)...) // a hole
			for _, top := range []byte{1, 0x20, 0x40, 0x7f} {
				list[width+1] = top
				s := stream{size: 4096}
				f.runs(append(list, 0x11, 1, 1, 0), 0, &s)
				f.readAll(s)
				for _, r := range s.runs {
					if r.File < 0 || r.File+r.Len < 0 {
						t.Errorf("cluster %d, hole %x: run at %d of the file", cluster, list, r.File)
					}
				}
			}
		}
	}
}
