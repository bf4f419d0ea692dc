package classify

import (
	"bytes"
	"sync/atomic"
)

// Limits of the in-path rule, bytes.
const (
	smallMax  = 16 << 10 // a write up to this size is taken for SmallData
	mediumMax = 64 << 10 // a write below this size is taken for MediumData, unless it continues the one before
)

const zeroStep = 4096 // the zero test compares this much at a time

var zeroes [zeroStep]byte

// Tagger tags the writes of one volume. Its methods are safe for concurrent use.
type Tagger struct {
	known atomic.Pointer[Map]
	next  atomic.Int64 // where a sequential write would begin
}

// NewTagger returns a Tagger that knows no file system yet.
func NewTagger() *Tagger {
	t := &Tagger{}
	t.next.Store(-1)
	return t
}

// Learn makes m, which may be nil, the file-system knowledge of all later calls of Tag.
func (t *Tagger) Learn(m *Map) { t.known.Store(m) }

// Known is the knowledge that Tag uses now; nil if there is none.
func (t *Tagger) Known() *Map { return t.known.Load() }

// Tag classifies a write of p at byte offset off. It keeps no reference to p and does not allocate.
func (t *Tagger) Tag(p []byte, off int64) Tag {
	n := int64(len(p))
	sequential := t.next.Load() == off
	t.next.Store(off + n)
	region, _ := t.known.Load().RegionAt(off)
	return MakeTag(guess(p, region, sequential), region, sequential)
}

// TagZero is Tag for a write of n zeroes or a discard of n bytes.
func (t *Tagger) TagZero(off, n int64) Tag {
	sequential := t.next.Load() == off
	t.next.Store(off + n)
	region, _ := t.known.Load().RegionAt(off)
	return MakeTag(ZeroBlock, region, sequential)
}

func guess(p []byte, region Region, sequential bool) Class {
	switch {
	case isZero(p):
		return ZeroBlock
	case region.IsMetadata():
		return MetadataOnly
	case len(p) >= mediumMax || sequential && len(p) > smallMax:
		return LargeData
	case len(p) > smallMax:
		return MediumData
	}
	return SmallData
}

// isZero stops at the first step that is not zero.
func isZero(p []byte) bool {
	for len(p) > zeroStep {
		if !bytes.Equal(p[:zeroStep], zeroes[:]) {
			return false
		}
		p = p[zeroStep:]
	}
	return bytes.Equal(p, zeroes[:len(p)])
}
