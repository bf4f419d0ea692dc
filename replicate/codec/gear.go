package codec

import "math"

// The rolling hash that picks the positions at which content is looked up: gear, two bits a byte, so that it depends
// on the last gearBytes bytes alone. It is no part of the format.
const gearBytes = 32

var gearTable = func() (t [256]uint64) {
	x := uint64(0x9e3779b97f4a7c15)
	for i := range t {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		t[i] = z ^ z>>31
	}
	return t
}()

// gearZero is the hash of zeroes.
var gearZero = func() (h uint64) {
	for range gearBytes {
		h = h<<2 + gearTable[0]
	}
	return h
}()

// gearMax returns the largest hash within b and the offset of the gearBytes bytes that it stands for, the first of
// equals. b has at least gearBytes bytes.
func gearMax(b []byte) (best uint64, at int) {
	var h uint64
	for _, c := range b[:gearBytes-1] {
		h = h<<2 + gearTable[c]
	}
	for i, c := range b[gearBytes-1:] {
		h = h<<2 + gearTable[c]
		if h > best {
			best, at = h, i
		}
	}
	return best, at
}

// anchor is a position at which content is looked up: the gearBytes bytes at at have hash h.
type anchor struct {
	at int
	h  uint64
}

// anchors are the positions in a chunk that are the maximum of some stretch of a sub-block's length. So wherever the
// new content holds a whole sub-block of earlier content, at any alignment, the maximum of that sub-block is among
// them. They are found a piece of the chunk at a time, since most of a chunk is often found otherwise.
type anchors struct {
	list   []anchor
	head   int // first of list that was not looked at
	hashes [anchorStep]uint64
	rest   [anchorStep]int32
	upto   int // the next search begins here
	done   int // anchors before it were looked at, or need not be
	work   int // bytes that were searched, ever
}

// anchorStep is how much content is searched at a time, bytes.
const anchorStep = 16 << 10

// start begins a chunk at at.
func (x *anchors) start(at int) {
	x.list, x.head, x.upto, x.done = x.list[:0], 0, at, at
}

// skip drops the anchors before at.
func (x *anchors) skip(at int) {
	x.done = max(x.done, at)
	x.upto = max(x.upto, at)
}

// next returns the first anchor that was not looked at; if none is known it searches content before b as far as p.
// Otherwise it returns one that lies at no position at all.
func (x *anchors) next(content []byte, p, b, sub int) anchor {
	for {
		for ; x.head < len(x.list); x.head++ {
			if a := x.list[x.head]; a.at >= x.done {
				return a
			}
		}
		lo := x.upto
		hi := min(b, lo+anchorStep)
		if lo > p || hi-lo < gearBytes {
			return anchor{at: math.MaxInt}
		}
		x.search(content[lo:hi], lo, sub)
		if x.upto = hi - sub + 1; hi == b {
			x.upto = hi
		}
	}
}

// take marks the anchor that next returned as looked at.
func (x *anchors) take() {
	x.done = x.list[x.head].at + 1
	x.head++
}

// search fills list with the anchors of content, which begins at lo: the first maximum of each span of hashes.
//
// The hashes are cut into blocks of one span. A span that begins at a within a block ends in the next one, so its
// maximum is that of the block's rest from a on, known from one pass backwards, or that of the next block's beginning,
// kept while going forward. Either changes seldom, which the processor predicts well.
func (x *anchors) search(content []byte, lo, sub int) {
	x.list, x.head = x.list[:0], 0
	x.work += len(content)
	hs := x.hashes[:len(content)-gearBytes+1]
	var h uint64
	for _, c := range content[:gearBytes-1] {
		h = h<<2 + gearTable[c]
	}
	for i, c := range content[gearBytes-1:] {
		h = h<<2 + gearTable[c]
		hs[i] = h
	}
	span := min(len(hs), sub-gearBytes+1)
	last := -1
	for from := 0; from+span <= len(hs); from += span {
		rest := rests(x.rest[:span], hs[from:from+span])
		if top := from + int(rest[0]); top != last {
			last = top
			x.add(lo, top, hs)
		}
		ends := hs[from+span : min(len(hs), from+2*span-1)] // of the spans that begin behind from
		rest = rest[1 : 1+len(ends)]
		best, at := uint64(0), -1 // of the next block so far
		for i, h := range ends {
			if h > best {
				best, at = h, from+span+i
			}
			top := from + int(rest[i])
			if best > hs[top] {
				top = at
			}
			if top != last {
				last = top
				x.add(lo, top, hs)
			}
		}
	}
}

// rests sets rest[i] to the place of the first maximum of hs[i:], for each i, and returns rest, as long as hs.
func rests(rest []int32, hs []uint64) []int32 {
	rest = rest[:len(hs)]
	top, best := int32(len(hs)-1), uint64(0)
	for i := len(hs) - 1; i >= 0; i-- {
		if hs[i] >= best {
			top, best = int32(i), hs[i]
		}
		rest[i] = top
	}
	return rest
}

// add notes the anchor at i, unless it is zeroes or goes on with a run of what the one noted last holds.
func (x *anchors) add(lo, i int, hs []uint64) {
	h := hs[i]
	if n := len(x.list); h != gearZero && (n == 0 || x.list[n-1].h != h || lo+i-x.list[n-1].at >= gearBytes) {
		x.list = append(x.list, anchor{lo + i, h})
	}
}
