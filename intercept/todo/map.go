package todo

import (
	"math/bits"
	"slices"
)

const (
	// UnitBytesMin is the smallest unit of a Map, in bytes.
	UnitBytesMin = 64 << 10
	unitsMax     = 16 << 20 // of a map of the volumes that are usual; larger ones have larger units
	wordBits     = 64
)

// Map says of each unit of a volume whether it is to do. A nil Map has nothing to do. A Map that others can see is not
// changed any more.
type Map struct {
	size  int64 // bytes of the volume; what lies behind is done
	unit  int64 // bytes, a power of two
	words []uint64
	left  int64 // units to do
	total int64 // bytes that were to do when work began
}

// New returns a map of a volume of size bytes, all of it to do.
func New(size int64) *Map {
	m := &Map{size: size, unit: unitFor(size)}
	n := m.units()
	m.words = make([]uint64, (n+wordBits-1)/wordBits)
	for i := range m.words {
		m.words[i] = ^uint64(0)
	}
	if n%wordBits != 0 {
		m.words[len(m.words)-1] = 1<<(n%wordBits) - 1
	}
	m.left = n
	m.total = m.Bytes()
	return m
}

// Begin notes that what is to do now is all the work there is.
func (m *Map) Begin() { m.total = m.Bytes() }

// Total is how much there was to do, in bytes.
func (m *Map) Total() int64 { return m.total }

// unitFor is the unit of a map of a volume of size bytes.
func unitFor(size int64) int64 {
	unit := int64(UnitBytesMin)
	for size/unit > unitsMax {
		unit *= 2
	}
	return unit
}

func (m *Map) units() int64 { return (m.size + m.unit - 1) / m.unit }

// Unit is the size of a unit in bytes.
func (m *Map) Unit() int64 { return m.unit }

// Clone returns a copy that may be changed.
func (m *Map) Clone() *Map {
	c := *m
	c.words = slices.Clone(m.words)
	return &c
}

// Bytes is how much is to do at most; the last unit counts whole.
func (m *Map) Bytes() int64 {
	if m == nil {
		return 0
	}
	return m.left * m.unit
}

// Done says that the unit which holds off is done.
func (m *Map) Done(off int64) {
	i := off / m.unit
	if bit := uint64(1) << (i % wordBits); m.words[i/wordBits]&bit != 0 {
		m.words[i/wordBits] &^= bit
		m.left--
	}
}

// Next returns the first run of bytes in [off, end) that is to do; false when all of the range is done.
func (m *Map) Next(off, end int64) (from, to int64, ok bool) {
	if m == nil || m.left == 0 {
		return 0, 0, false
	}
	end = min(end, m.size)
	if off >= end {
		return 0, 0, false
	}
	first, ok := m.find(off/m.unit, 0)
	if !ok || first*m.unit >= end {
		return 0, 0, false
	}
	last, ok := m.find(first, ^uint64(0))
	if !ok {
		last = m.units()
	}
	return max(off, first*m.unit), min(end, last*m.unit), true
}

// find returns the first unit from i on whose bit is set; with invert all ones, one that is not.
func (m *Map) find(i int64, invert uint64) (int64, bool) {
	for w := i / wordBits; w < int64(len(m.words)); w++ {
		word := m.words[w] ^ invert
		if w == i/wordBits {
			word &= ^uint64(0) << (i % wordBits)
		}
		if word != 0 {
			at := w*wordBits + int64(bits.TrailingZeros64(word))
			return at, at < m.units()
		}
	}
	return 0, false
}

// Within calls fn for each run of bytes of [off, end) that is to do, in order, until fn returns false.
func (m *Map) Within(off, end int64, fn func(from, to int64) bool) {
	for {
		from, to, ok := m.Next(off, end)
		if !ok || !fn(from, to) {
			return
		}
		off = to
	}
}
