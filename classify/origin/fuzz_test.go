package origin

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/fstest"
	"github.com/weirstor/weir/classify/fs/layout"
)

// damaged is an image with bytes of its structures changed.
type damaged struct {
	memView
	spans []fs.Span // of structures
	total int64
}

// patch is six bytes: four for where in the structures, two for what to store there.
const patchBytes = 6

func (d *damaged) patched(patches []byte) memView {
	out := append(memView(nil), d.memView...)
	for ; len(patches) >= patchBytes; patches = patches[patchBytes:] {
		at := int64(binary.LittleEndian.Uint32(patches)) % d.total
		for _, s := range d.spans {
			if at < s.Len {
				out[s.Off+at] = patches[4]
				if at+1 < s.Len {
					out[s.Off+at+1] = patches[5]
				}
				break
			}
			at -= s.Len
		}
	}
	return out
}

// FuzzRead damages the structures of real file systems: Read must neither panic nor fail nor run away.
func FuzzRead(f *testing.F) {
	var images []*damaged
	for _, m := range []made{
		{"", "ext4", 4 << 20, []string{"mkfs.ext4", "-q", "-F", "-b", "1024", "-O", "inline_data", "-I", "256"}, "e2fsprogs"},
		{"", "ext4", 4 << 20, []string{"mkfs.ext3", "-q", "-F", "-b", "1024"}, "e2fsprogs"},
		{"", "ntfs", 2 << 20, []string{"mkntfs", "-Q", "-q", "-F"}, "ntfs-3g"},
	} {
		path := m.image(f)
		if m.kind == "ext4" {
			script := path + ".cmd"
			if err := os.WriteFile(script, []byte("mkdir a\nmkdir a/b\nwrite "+path+".cmd a/b/c\nsymlink x /a/b\n"), 0o600); err != nil {
				f.Fatal(err)
			}
			fstest.Tool(f, "e2fsprogs", "debugfs", "-w", "-f", script, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		d := &damaged{memView: b}
		found, err := layout.Find(d.memView, int64(len(b)), false, nil)
		if err != nil || len(found.Systems) != 1 {
			f.Fatalf("%v, %v", found, err)
		}
		err = found.Systems[0].Regions(fs.NewFuel(1000), func(off, n int64, kind fs.Region) {
			if kind.IsMetadata() {
				d.spans = append(d.spans, fs.Span{Off: off, Len: n})
				d.total += n
			}
		})
		if err != nil {
			f.Fatal(err)
		}
		images = append(images, d)
	}
	f.Add(byte(0), []byte{0x38, 4, 0, 0, 1, 1})
	f.Add(byte(1), []byte{0x20, 4, 0, 0, 255, 255, 1, 2, 3, 4, 5, 6})
	f.Add(byte(2), []byte{0x30, 0, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, which byte, patches []byte) {
		view := images[int(which)%len(images)].patched(patches)
		tree, err := Read(context.Background(), view, int64(len(view)))
		if err != nil {
			t.Fatal(err)
		}
		tree.Spread(0, int64(len(view)), func(o Origin, _, n int64) {
			if n <= 0 {
				t.Fatalf("%d bytes of %+v", n, o)
			}
			if o.File != nil {
				_ = o.File.Path()
			}
		})
		if _, err := Compare(context.Background(), tree, tree, nil); err != nil {
			t.Fatal(err)
		}
	})
}
