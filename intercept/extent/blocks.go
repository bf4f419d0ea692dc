package extent

// Blocks collects ranges in any order of which only the place is known, for a Sealed without records. The zero Blocks is
// empty.
type Blocks struct{ active *Active }

// Add says that [off, off+n) is part of it.
func (b *Blocks) Add(off, n int64, tag uint8) {
	if b.active == nil {
		b.active = NewActive()
	}
	b.active.Insert(Entry{Tag: tag}, off, n)
}

// Sealed returns what was added; entries have position 0.
func (b *Blocks) Sealed() *Sealed {
	if b.active == nil {
		return new(Sealed)
	}
	return b.active.Seal()
}

// Bytes is the number of bytes that the entries cover.
func (m *Sealed) Bytes() int64 {
	var n int64
	for _, e := range m.list {
		n += int64(e.Len)
	}
	return n
}
