package lab

import (
	"math/rand/v2"

	"github.com/weirstor/weir/replicate/codec"
)

const blockBytes = 4096

// disk is a volume in memory, with what was written since the last epoch.
type disk struct {
	old, new []byte
	dirty    []bool // by block
}

func newDisk(bytes int) *disk {
	return &disk{old: make([]byte, bytes), new: make([]byte, bytes), dirty: make([]bool, bytes/blockBytes)}
}

// write puts p at off.
func (d *disk) write(off int, p []byte) {
	n := copy(d.new[off:], p)
	d.touch(off, n)
}

// touch marks n bytes at off as written.
func (d *disk) touch(off, n int) {
	for at := off / blockBytes; at*blockBytes < off+n && at < len(d.dirty); at++ {
		d.dirty[at] = true
	}
}

// seal returns the extents of the epoch.
func (d *disk) seal() (xs []codec.Extent) {
	for at, dirty := range d.dirty {
		if !dirty {
			continue
		}
		off := int64(at) * blockBytes
		if n := len(xs); n > 0 && xs[n-1].Off+xs[n-1].Len == off {
			xs[n-1].Len += blockBytes
			continue
		}
		xs = append(xs, codec.Extent{Off: off, Len: blockBytes})
	}
	return xs
}

// next begins another epoch.
func (d *disk) next() {
	for at, dirty := range d.dirty {
		if dirty {
			copy(d.old[at*blockBytes:][:blockBytes], d.new[at*blockBytes:])
		}
	}
	clear(d.dirty)
}

// memory is a codec.View of bytes.
type memory []byte

// ReadAt implements codec.View.
func (m memory) ReadAt(p []byte, off int64) error {
	n := 0
	if off < int64(len(m)) {
		n = copy(p, m[off:])
	}
	clear(p[n:])
	return nil
}

// block is the offset of a random block within [lo, hi).
func block(rnd *rand.Rand, lo, hi int) int {
	return (lo + rnd.IntN(hi-lo)) / blockBytes * blockBytes
}
