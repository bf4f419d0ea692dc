package classify

import (
	"cmp"
	"math"
	"slices"
)

// maxSpans bounds the memory of a Map, 16 bytes a span: knowledge beyond it is dropped.
const maxSpans = 1 << 18

// Map is what is known of a volume's layout. It does not change once made; a nil Map knows nothing.
type Map struct {
	fs    string
	start []int64  // sorted, distinct, start[0] == 0
	kind  []Region // kind[i] holds from start[i] to start[i+1], the last one to the end
}

// FileSystem names what was recognised, for people: "ext4", "gpt: ext4, ext4"; empty if nothing.
func (m *Map) FileSystem() string {
	if m == nil {
		return ""
	}
	return m.fs
}

// RegionAt returns the kind of the byte at off and the offset at which that kind ends (math.MaxInt64 if it is the
// last). It takes tens of nanoseconds.
func (m *Map) RegionAt(off int64) (kind Region, end int64) {
	if m == nil || len(m.start) == 0 || off < 0 {
		return Unknown, math.MaxInt64
	}
	lo, hi := 0, len(m.start) // start[lo] <= off < start[hi]
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if m.start[mid] <= off {
			lo = mid
		} else {
			hi = mid
		}
	}
	end = math.MaxInt64
	if hi < len(m.start) {
		end = m.start[hi]
	}
	return m.kind[lo], end
}

// span is a range of one kind while a Map is being made. A later span lies over an earlier one.
type span struct {
	off, end int64
	kind     Region
	order    int
}

// builder collects spans, in any order.
type builder struct {
	size  int64
	spans []span
}

// add notes n bytes at off, cut to the volume. Negative or overflowing ranges are ignored.
func (b *builder) add(off, n int64, kind Region) {
	if off < 0 || n <= 0 || off >= b.size || len(b.spans) >= maxSpans {
		return
	}
	if n > b.size-off {
		n = b.size - off
	}
	if last := len(b.spans) - 1; last >= 0 && b.spans[last].kind == kind && b.spans[last].end == off {
		b.spans[last].end = off + n
		return
	}
	b.spans = append(b.spans, span{off, off + n, kind, len(b.spans)})
}

// build flattens the spans: at each boundary the latest span that is still open wins.
func (b *builder) build(fs string) *Map {
	m := &Map{fs: fs, start: []int64{0}, kind: []Region{Unknown}}
	slices.SortFunc(b.spans, func(x, y span) int {
		return cmp.Or(cmp.Compare(x.off, y.off), cmp.Compare(x.order, y.order))
	})
	var open spanHeap
	at := int64(0)
	for i := 0; i < len(b.spans) || len(open) > 0; {
		next := int64(math.MaxInt64)
		if i < len(b.spans) {
			next = b.spans[i].off
		}
		if len(open) > 0 {
			next = min(next, open[0].end)
		}
		at = max(at, next)
		for i < len(b.spans) && b.spans[i].off <= at {
			open.push(b.spans[i])
			i++
		}
		for len(open) > 0 && open[0].end <= at {
			open.pop()
		}
		kind := Unknown
		if len(open) > 0 {
			kind = open[0].kind
		}
		m.set(at, kind)
	}
	return m
}

// set makes kind hold from off on; off is not below the last boundary.
func (m *Map) set(off int64, kind Region) {
	last := len(m.start) - 1
	if m.start[last] == off {
		m.kind[last] = kind
		if last > 0 && m.kind[last-1] == kind {
			m.start, m.kind = m.start[:last], m.kind[:last]
		}
		return
	}
	if m.kind[last] != kind {
		m.start, m.kind = append(m.start, off), append(m.kind, kind)
	}
}

// spanHeap is a max-heap by order: the span that lies on top comes first.
type spanHeap []span

func (h *spanHeap) push(s span) {
	*h = append(*h, s)
	q := *h
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if q[up].order >= q[i].order {
			return
		}
		q[up], q[i] = q[i], q[up]
		i = up
	}
}

func (h *spanHeap) pop() {
	q := *h
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	*h = q
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(q) {
			return
		}
		if c+1 < len(q) && q[c+1].order > q[c].order {
			c++
		}
		if q[i].order >= q[c].order {
			return
		}
		q[i], q[c] = q[c], q[i]
		i = c
	}
}
