package replica

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPointsReadBack(t *testing.T) {
	src := newSource(t, 1)
	src.addVolume(2<<20 + 512)
	n := newNode(t, vfs.NewMem(), src, nil)
	for i := range 12 {
		if i == 3 {
			src.addVolume(300 << 10)
		}
		if i == 8 {
			src.dropVolume(1)
		}
		src.mutate(20)
		p := src.seal()
		n.Advance(p.entry)
		n.wait(p, false)
		n.check(p)
	}
	n.close()
	n.open()
	for _, p := range src.points {
		n.check(p)
	}
}
