package replica

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/disk"
)

// rawDisk makes the node keep a raw file that follows the source's first volume.
func (n *node) rawDisk(src *source, path string, policy disk.Policy) DiskSpec {
	spec := DiskSpec{ID: ident.NewUUID(), Group: src.group, Volume: src.volumes[0].id, Kind: disk.Raw, Place: path, Policy: policy}
	n.SetDisks([]DiskSpec{spec})
	return spec
}

// shows compares a disk with a point byte by byte, and by Verify.
func (n *node) shows(spec DiskSpec, p *sourcePoint) {
	n.tb.Helper()
	got, err := os.ReadFile(spec.Place)
	if err != nil {
		n.tb.Fatal(err)
	}
	if !bytes.Equal(got, p.content[spec.Volume]) {
		n.tb.Fatalf("disk of %d bytes is not point %d of %d bytes", len(got), p.entry.Number, len(p.content[spec.Volume]))
	}
	r, err := n.VerifyDisk(context.Background(), spec.ID)
	if err != nil {
		n.tb.Fatal(err)
	}
	if r.Point != p.point || r.Differing != 0 || !r.StateMatch() || r.Blocks != blockCount(int64(len(got))) {
		n.tb.Fatalf("report %+v, want a match with %v", r, p.point)
	}
}

func TestDiskFollows(t *testing.T) {
	src := newSource(t, 3)
	v := src.addVolume(3<<20 + 512)
	n := newNode(t, nil, src, nil)
	spec := n.rawDisk(src, filepath.Join(t.TempDir(), "disk.raw"), "")
	for i := range 6 {
		if i == 4 {
			v.grow(5 << 20)
		}
		src.mutate(8)
		p := src.seal()
		n.Advance(p.entry)
		n.wait(p, true)
		n.shows(spec, p)
	}
	n.close()
	src.mutate(30)
	p := src.seal()
	n.open()
	n.SetDisks([]DiskSpec{spec})
	n.Advance(p.entry)
	n.wait(p, true)
	n.shows(spec, p)
}
