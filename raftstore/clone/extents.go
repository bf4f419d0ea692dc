package clone

import (
	"errors"
	"fmt"
	"io"

	"github.com/weirstor/weir/target"
)

// extents describes [off, off+n) of the volume.
func (o *overlay) extents(off, n int64) ([]target.Extent, error) {
	var out []target.Extent
	for end := off + n; off < end; {
		first := uint64(off / BlockBytes)
		c, count := o.classify(first, uint64(end-1)/BlockBytes)
		stop := min(end, int64(first+count)*BlockBytes)
		list, err := o.part(c, off, stop)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			out = appendExtent(out, e)
		}
		off = stop
	}
	return out, nil
}

// part describes a range of blocks of one class: the base's, or the data file's by what it has allocated.
func (o *overlay) part(c class, off, end int64) ([]target.Extent, error) {
	if c == absent {
		list, err := o.base.Extents(off, end-off)
		if err != nil {
			return nil, ioError("extents", off, int(end-off), err)
		}
		return list, nil
	}
	next, err := o.data.NextData(off)
	switch {
	case errors.Is(err, io.EOF):
		next = end
	case err != nil:
		return nil, fmt.Errorf("%w: extents at %d: %w", target.ErrIO, off, err)
	}
	if next = min(next, end); next > off {
		return []target.Extent{{Off: off, Len: next - off, Kind: target.Hole}, {Off: next, Len: end - next, Kind: target.Data}}, nil
	}
	return []target.Extent{{Off: off, Len: end - off, Kind: target.Data}}, nil
}

// appendExtent appends e, unless it is empty, to neighbours of which it may be the continuation.
func appendExtent(list []target.Extent, e target.Extent) []target.Extent {
	if e.Len == 0 {
		return list
	}
	if last := len(list) - 1; last >= 0 && list[last].Kind == e.Kind {
		list[last].Len += e.Len
		return list
	}
	return append(list, e)
}
