package extent

import "iter"

// Sealed is a map that never changes. The zero Sealed is empty. Safe for concurrent use.
type Sealed struct {
	list []Entry // sorted, not overlapping
}

// Len is the number of entries.
func (m *Sealed) Len() int { return len(m.list) }

// Append implements Map.
func (m *Sealed) Append(dst []Entry, off, end int64) []Entry {
	if off >= end {
		return dst
	}
	for _, e := range m.list[searchEnd(m.list, off):] {
		if e.Off >= end {
			break
		}
		dst = append(dst, e.clip(off, end))
	}
	return dst
}

// All yields the entries in order.
func (m *Sealed) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range m.list {
			if !yield(e) {
				return
			}
		}
	}
}

// Next returns the first offset from off on that the map holds; false when there is none.
func (m *Sealed) Next(off int64) (int64, bool) {
	i := searchEnd(m.list, off)
	if i == len(m.list) {
		return 0, false
	}
	return max(off, m.list[i].Off), true
}

// ZeroUntil returns the end of the entry that holds off, if it reads as zeroes.
func (m *Sealed) ZeroUntil(off int64) (int64, bool) {
	i := searchEnd(m.list, off)
	if i == len(m.list) || m.list[i].Off > off || !m.list[i].Zero() {
		return 0, false
	}
	return m.list[i].End(), true
}

// Overlaps reports whether any entry overlaps [off, end).
func (m *Sealed) Overlaps(off, end int64) bool {
	i := searchEnd(m.list, off)
	return off < end && i < len(m.list) && m.list[i].Off < end
}

// Merge returns what newer over older amounts to. All of newer is newer than all of older.
func Merge(newer, older *Sealed) *Sealed {
	switch {
	case newer.Len() == 0:
		return older
	case older.Len() == 0:
		return newer
	}
	n := 0
	merge(newer.list, older.list, func(Entry) { n++ })
	m := &Sealed{list: make([]Entry, 0, n)}
	merge(newer.list, older.list, func(e Entry) { m.list = append(m.list, e) })
	return m
}

// merge emits newer, and older where newer has nothing, in order.
func merge(newer, older []Entry, emit func(Entry)) {
	at := int64(0) // everything before is emitted
	j := 0
	for _, e := range newer {
		for j < len(older) && older[j].Off < e.Off {
			if o := older[j]; o.End() > at && at < e.Off {
				emit(o.clip(at, e.Off))
			}
			if older[j].End() > e.Off {
				break // what is left of it comes behind e
			}
			j++
		}
		emit(e)
		at = e.End()
		for j < len(older) && older[j].End() <= at {
			j++
		}
	}
	for ; j < len(older); j++ {
		if o := older[j]; o.End() > at {
			emit(o.clip(at, o.End()))
		}
	}
}
