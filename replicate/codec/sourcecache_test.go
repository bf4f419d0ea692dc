package codec

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// scarredView can not be read from bad to bad+512; it counts its reads.
type scarredView struct {
	memView
	bad   int64
	reads int
}

var errScar = errors.New("damaged")

func (v *scarredView) ReadAt(p []byte, off int64) error {
	v.reads++
	if off < v.bad+512 && off+int64(len(p)) > v.bad {
		return errScar
	}
	return v.memView.ReadAt(p, off)
}

func TestSourceCache(t *testing.T) {
	content := make([]byte, 40*sourcePageBytes)
	rnd := rand.New(rand.NewPCG(5, 6))
	fill(rnd, content)
	v := &scarredView{memView: content, bad: 7*sourcePageBytes + 4096}
	other := memView(bytes.Repeat([]byte{9}, len(content)))
	var c sourceCache
	for range 4000 {
		n := 1 + rnd.IntN(2*sourcePageBytes)
		off := rnd.IntN(len(content) - n)
		if rnd.IntN(4) == 0 {
			p := make([]byte, n)
			if err := c.read(other, volumeID(2), p, int64(off)); err != nil || !bytes.Equal(p, other[off:off+n]) {
				t.Fatalf("%d bytes at %d of the other volume differ, error %v", n, off, err)
			}
		}
		p := make([]byte, n)
		err := c.read(v, volumeID(1), p, int64(off))
		scarred := int64(off) < v.bad+512 && int64(off+n) > v.bad
		if scarred && !errors.Is(err, errScar) {
			t.Fatalf("%d bytes at %d with damage: %v", n, off, err)
		}
		if !scarred && (err != nil || !bytes.Equal(p, content[off:off+n])) {
			t.Fatalf("%d bytes at %d differ, error %v", n, off, err)
		}
	}
	v.reads = 0
	c.reset()
	for off := range int64(100) {
		if err := c.read(v, volumeID(1), make([]byte, 100), off*150); err != nil {
			t.Fatal(err)
		}
	}
	if v.reads > 1 {
		t.Errorf("%d reads for copies within one page", v.reads)
	}
	clear(content)
	c.reset()
	p := []byte{1}
	if err := c.read(v, volumeID(1), p, 0); err != nil || p[0] != 0 {
		t.Errorf("after reset the cache has what was there before: %d, %v", p[0], err)
	}
}
