package layout

import (
	"cmp"
	"slices"

	"github.com/weirstor/weir/classify/fs"
)

// segment says that n bytes of an inner device from in on lie at out of the volume.
type segment struct{ in, n, out int64 }

// layer is a device that lies, in pieces, on the volume: a partition, a logical volume. Segments are sorted by in and do
// not overlap; what none covers reads as zeroes.
type layer struct {
	r    fs.View // the volume
	segs []segment
}

// whole is the layer of n bytes at off of the volume.
func whole(r fs.View, off, n int64) *layer { return &layer{r: r, segs: []segment{{0, n, off}}} }

// within is a layer of segments of l, of the first maxSegments pieces.
func (l *layer) within(segs []segment) *layer {
	in := &layer{r: l.r}
	slices.SortFunc(segs, func(a, b segment) int { return cmp.Compare(a.in, b.in) })
	end := int64(0)
	for _, s := range segs {
		if s.in < end || s.n <= 0 {
			continue
		}
		end = s.in + s.n
		l.each(s.out, s.n, func(at, off, n int64) bool {
			in.segs = append(in.segs, segment{s.in + at - s.out, n, off})
			return len(in.segs) < maxSegments
		})
		if len(in.segs) == maxSegments {
			break
		}
	}
	return in
}

func (l *layer) size() int64 {
	if len(l.segs) == 0 {
		return 0
	}
	last := l.segs[len(l.segs)-1]
	return last.in + last.n
}

// each calls f for the pieces of n bytes at the inner offset off, with the inner offset and the volume's, until it returns
// false.
func (l *layer) each(off, n int64, f func(in, out, n int64) bool) {
	i, _ := slices.BinarySearchFunc(l.segs, off, func(s segment, off int64) int {
		if s.in+s.n <= off {
			return -1
		}
		return 1
	})
	for ; i < len(l.segs) && l.segs[i].in < off+n; i++ {
		s := l.segs[i]
		from, to := max(off, s.in), min(off+n, s.in+s.n)
		if to > from && !f(from, s.out+from-s.in, to-from) {
			return
		}
	}
}

// ReadAt implements fs.View.
func (l *layer) ReadAt(p []byte, off int64) error {
	var err error
	covered := int64(0)
	l.each(off, int64(len(p)), func(in, out, n int64) bool {
		clear(p[covered : in-off])
		err = l.r.ReadAt(p[in-off:in-off+n], out)
		covered = in - off + n
		return err == nil
	})
	clear(p[covered:])
	return err
}
