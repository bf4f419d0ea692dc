package intercept

import (
	"fmt"
	"sync"

	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/target"
)

// span is a range of a volume, in bytes.
type span struct{ off, end int64 }

// reader is the scratch of one read.
type reader struct {
	todo, next []span
	entries    []extent.Entry
}

var readerPool = sync.Pool{New: func() any { return new(reader) }}

// readThrough fills p with the content of b's volume at off as st, which the caller has pinned, shows it.
// With at, the base is read as it was at that point.
func (g *Group) readThrough(st *stack, b *base, p []byte, off int64, at *past) error {
	r := readerPool.Get().(*reader)
	defer readerPool.Put(r)
	r.todo = append(r.todo[:0], span{off, off + int64(len(p))})
	for i := len(st.layers) - 1; i >= 0 && len(r.todo) > 0; i-- {
		v := st.layers[i].volume(b.number)
		if v == nil {
			continue
		}
		if err := g.readLayer(r, v.get(), p, off); err != nil {
			return err
		}
	}
	for _, s := range r.todo {
		if err := b.read(p[s.off-off:s.end-off], s.off, at); err != nil {
			return err
		}
	}
	return nil
}

// readLayer fills what m holds of r.todo and leaves the rest there.
func (g *Group) readLayer(r *reader, m extent.Map, p []byte, off int64) error {
	r.next = r.next[:0]
	for _, s := range r.todo {
		at := s.off
		r.entries = m.Append(r.entries[:0], s.off, s.end)
		for _, e := range r.entries {
			if at < e.Off {
				r.next = append(r.next, span{at, e.Off})
			}
			at = e.End()
			if err := g.readEntry(e, p[e.Off-off:at-off]); err != nil {
				return err
			}
		}
		if at < s.end {
			r.next = append(r.next, span{at, s.end})
		}
	}
	r.todo, r.next = r.next, r.todo
	return nil
}

// readEntry fills p with the content of e.
func (g *Group) readEntry(e extent.Entry, p []byte) error {
	if e.Zero() {
		clear(p)
		return nil
	}
	err := g.log.ReadPayload(p, e.Pos, int64(e.Payload), int64(e.Delta))
	if err != nil {
		return &target.MediumError{Off: e.Off, Len: int64(e.Len), Err: fmt.Errorf("write log: %w", err)}
	}
	return nil
}
