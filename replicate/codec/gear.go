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
	queue  [anchorStep]int32
	upto   int // the next search begins here
	done   int // anchors before it were looked at, or need not be
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

// search fills list with the anchors of content, which begins at lo.
func (x *anchors) search(content []byte, lo, sub int) {
	x.list, x.head = x.list[:0], 0
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
	first, last := 0, 0 // queue[first:last]: the positions that are or may become the maximum, their hashes not rising
	for i, h := range hs {
		for last > first && hs[x.queue[last-1]] < h {
			last--
		}
		x.queue[last] = int32(i)
		if last++; int(x.queue[first]) <= i-span {
			first++
		}
		if i >= span-1 {
			x.add(lo, int(x.queue[first]), hs)
		}
	}
}

// add notes the anchor at i, unless it is zeroes or goes on with a run of what the one noted last holds.
func (x *anchors) add(lo, i int, hs []uint64) {
	h := hs[i]
	if n := len(x.list); h != gearZero && (n == 0 || x.list[n-1].h != h || lo+i-x.list[n-1].at >= gearBytes) {
		x.list = append(x.list, anchor{lo + i, h})
	}
}
