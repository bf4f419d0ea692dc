package classify

// Tag is what is known of a write in its path, in one byte: bits 0 to 2 the Class, bits 3 to 6 the Region, bit 7
// whether the write continues the one before it. The zero Tag is ZeroBlock in an unknown region.
type Tag uint8

const (
	tagRegionShift = 3
	tagClassMask   = 1<<tagRegionShift - 1
	tagRegionMask  = 15
	tagSequential  = 1 << 7
)

// MakeTag returns the Tag of its parts. Class and region must be known ones.
func MakeTag(c Class, r Region, sequential bool) Tag {
	t := Tag(c) | Tag(r)<<tagRegionShift
	if sequential {
		t |= tagSequential
	}
	return t
}

// Class is the class that the write seemed to have; a byte that no Tagger makes reads as LargeData.
func (t Tag) Class() Class {
	if c := Class(t & tagClassMask); c < NumClasses {
		return c
	}
	return LargeData
}

// Region is the kind of range that the first byte of the write fell in.
func (t Tag) Region() Region {
	if r := Region(t >> tagRegionShift & tagRegionMask); r < NumRegions {
		return r
	}
	return Unknown
}

// Sequential reports whether the write began where the one before it ended.
func (t Tag) Sequential() bool { return t&tagSequential != 0 }

// Estimate is the number of bytes that a write of n bytes with this Tag is expected to cost on the wire: a rule of
// thumb for backlog figures, from none for ZeroBlock to half for LargeData.
func (t Tag) Estimate(n int64) int64 {
	switch t.Class() {
	case ZeroBlock:
		return 0
	case MetadataOnly:
		return n / 32
	case SmallData:
		return n / 8
	case MediumData:
		return n / 4
	}
	return n / 2
}

func (t Tag) String() string {
	s := t.Class().String() + "/" + t.Region().String()
	if t.Sequential() {
		s += "/seq"
	}
	return s
}
