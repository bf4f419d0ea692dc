package replica

import (
	"slices"

	"github.com/weirstor/weir/target"
)

// rangesMax is how many ranges an error lists; more are joined with their neighbours.
const rangesMax = 1024

// ranges collects byte ranges for an error message. The zero ranges is empty.
type ranges struct{ list []target.Extent }

func (r *ranges) add(off, n int64) {
	if last := len(r.list) - 1; last >= 0 && off <= r.list[last].Off+r.list[last].Len && off >= r.list[last].Off {
		r.list[last].Len = max(r.list[last].Len, off+n-r.list[last].Off)
		return
	}
	r.list = append(r.list, target.Extent{Off: off, Len: n})
	if len(r.list) >= 4*rangesMax {
		r.list = r.extents()
	}
}

// extents returns the ranges in address order, at most rangesMax: where there are more, small gaps are closed.
func (r *ranges) extents() []target.Extent {
	slices.SortFunc(r.list, func(a, b target.Extent) int { return int(min(max(a.Off-b.Off, -1), 1)) })
	list := join(r.list, 0)
	for gap := int64(64 << 10); len(list) > rangesMax; gap *= 4 {
		list = join(list, gap)
	}
	return list
}

// join joins neighbours that lie at most gap bytes apart.
func join(list []target.Extent, gap int64) []target.Extent {
	var out []target.Extent
	for _, e := range list {
		if last := len(out) - 1; last >= 0 && e.Off <= out[last].Off+out[last].Len+gap {
			out[last].Len = max(out[last].Len, e.Off+e.Len-out[last].Off)
			continue
		}
		out = append(out, e)
	}
	return out
}
