package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify/fs"
)

// selfHolding is an LVM2 physical volume each of whose logical volumes is the physical volume.
func selfHolding(volumes int) []byte {
	var text strings.Builder
	uuid := strings.Repeat("w", 32)
	const size = 256 << 10
	fmt.Fprintf(&text, "evil { extent_size = 8 physical_volumes { pv0 { id = %q pe_start = 0 } } logical_volumes {", uuid)
	for i := range volumes {
		fmt.Fprintf(&text, "lv%d { s { start_extent = 0 extent_count = %d type = \"striped\" stripe_count = 1 stripes = [\"pv0\", 0] } }\n", i, size/4096)
	}
	text.WriteString("} }")
	b := make([]byte, size)
	le, label := binary.LittleEndian, b[512:]
	copy(label, "LABELONE")
	le.PutUint64(label[8:], 1)
	le.PutUint32(label[20:], 32)
	copy(label[24:], "LVM2 001")
	copy(label[32:], uuid)
	le.PutUint64(label[32+40+16:], 4096) // behind an empty list of data areas
	le.PutUint64(label[32+40+24:], size-4096)
	copy(b[4096+4:], " LVM2 x[5A%r0N*>")
	le.PutUint64(b[4096+40:], 512)
	le.PutUint64(b[4096+48:], uint64(text.Len()))
	copy(b[4096+512:], text.String())
	return b
}

var errManyReads = errors.New("too many reads")

// countedView fails once left is used up.
type countedView struct {
	fs.View
	left int
}

func (v *countedView) ReadAt(p []byte, off int64) error {
	if v.left--; v.left < 0 {
		return errManyReads
	}
	return v.View.ReadAt(p, off)
}

// TestLayersThatHoldThemselves looks at a volume that would be looked at eight million times.
func TestLayersThatHoldThemselves(t *testing.T) {
	b := selfHolding(200)
	if _, err := Find(&countedView{bytesView(b), 64 * maxLayers}, int64(len(b)), false, nil); err != nil {
		t.Error(err)
	}
	l := &Layout{add: func(int64, int64, fs.Region) {}}
	if err := l.look(whole(bytesView(b), 0, int64(len(b))), "", 0); err != nil || l.layers < 200 || l.layers > maxLayers {
		t.Errorf("%d layers, %v", l.layers, err)
	}
}

// TestPiecesOfPieces maps each piece of a layer to all pieces of another.
func TestPiecesOfPieces(t *testing.T) {
	var outer, inner []segment
	for i := range int64(1000) {
		outer = append(outer, segment{2 * i, 1, i})
		inner = append(inner, segment{4000 * i, 2000, 0})
	}
	l := (&layer{r: bytesView(make([]byte, 1000)), segs: outer}).within(inner)
	if len(l.segs) != maxSegments {
		t.Errorf("%d pieces", len(l.segs))
	}
	if err := l.ReadAt(make([]byte, 5000), 0); err != nil {
		t.Error(err)
	}
}
