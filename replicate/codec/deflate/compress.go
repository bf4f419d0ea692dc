package deflate

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Sizes of zlib's state at windowBits 15 and memLevel 8.
const (
	windowSize   = 32 << 10
	windowMask   = windowSize - 1
	hashBits     = 15
	hashSize     = 1 << hashBits
	minLookahead = maxMatch + minMatch + 1
	maxDist      = windowSize - minLookahead
	tooFar       = 4096
)

// level is one line of zlib's configuration table.
type level struct {
	good, lazy, nice, chain int
	slow                    bool
}

var levels = [10]level{
	1: {4, 4, 8, 4, false},
	2: {4, 5, 16, 8, false},
	3: {4, 6, 32, 32, false},
	4: {4, 4, 16, 16, true},
	5: {8, 16, 32, 32, true},
	6: {8, 16, 128, 128, true},
	7: {8, 32, 128, 256, true},
	8: {32, 128, 258, 1024, true},
	9: {32, 258, 258, 4096, true},
}

// Compressor compresses one stream after the other. It holds about 320 KiB. Not safe for concurrent use.
type Compressor struct {
	window [2*windowSize + maxMatch]byte // the rest is never part of a match
	head   [hashSize]uint16
	prev   [windowSize]uint16
	*blocks
	level

	in         []byte // not yet in the window
	want       []byte // what the output is to be; nil: anything
	lookahead  int
	start      int // of the string to match
	blockStart int // of the open block; negative: no longer in the window
	matchStart int
	from       int // length of the caller's bytes in out
}

// NewCompressor returns a Compressor.
func NewCompressor() *Compressor { return &Compressor{blocks: newBlocks()} }

// Append appends src, compressed at the level (1 to 9), to dst as raw deflate blocks (RFC 1951).
func (c *Compressor) Append(dst, src []byte, level int) []byte {
	c.run(dst, src, nil, level)
	return c.out
}

// Equal reports whether src compresses to exactly want. It stops at the first block that does not.
func (c *Compressor) Equal(src, want, scratch []byte, level int) bool {
	return c.run(scratch[:0], src, want, level) && bytes.Equal(c.out, want)
}

func (c *Compressor) run(dst, src, want []byte, level int) bool {
	c.level = levels[level]
	c.in, c.want, c.from = src, want, len(dst)
	c.lookahead, c.start, c.blockStart, c.matchStart = 0, 0, 0, 0
	clear(c.head[:])
	c.blocks.start(dst)
	ok := false
	if c.slow {
		ok = c.lazyMatch()
	} else {
		ok = c.greedyMatch()
	}
	c.in, c.want = nil, nil
	return ok
}

// flushBlock writes the open block and reports whether the output is still what is wanted.
func (c *Compressor) flushBlock(last bool) bool {
	var raw []byte
	if c.blockStart >= 0 {
		raw = c.window[c.blockStart:c.start]
	}
	c.flush(raw, last)
	c.blockStart = c.start
	if c.want == nil {
		return true
	}
	made := c.out[c.from:]
	return len(made) <= len(c.want) && bytes.Equal(made, c.want[:len(made)])
}

// fill moves the window on when its end is near, and reads what fits.
func (c *Compressor) fill() {
	room := 2*windowSize - c.lookahead - c.start
	if c.start >= windowSize+maxDist {
		copy(c.window[:windowSize], c.window[windowSize:2*windowSize])
		c.matchStart -= windowSize
		c.start -= windowSize
		c.blockStart -= windowSize
		slide(c.head[:])
		slide(c.prev[:])
		room += windowSize
	}
	n := copy(c.window[c.start+c.lookahead:][:room], c.in)
	c.in = c.in[n:]
	c.lookahead += n
}

func slide(table []uint16) {
	for i, v := range table {
		table[i] = max(v, windowSize) - windowSize
	}
}

// insert adds the string at position p to its chain and returns the one before it, 0 if there is none.
func (c *Compressor) insert(p int) int {
	w := c.window[p : p+3]
	h := (uint(w[0])<<10 ^ uint(w[1])<<5 ^ uint(w[2])) & (hashSize - 1)
	head := c.head[h]
	c.prev[p&windowMask] = head
	c.head[h] = uint16(p)
	return int(head)
}

// longest finds the longest match for the string at start that is longer than best, along the chain from cur.
func (c *Compressor) longest(cur, best int) int {
	chain, nice := c.chain, min(c.nice, c.lookahead)
	if best >= c.good {
		chain >>= 2
	}
	limit := max(0, c.start-maxDist)
	scan := c.window[c.start : c.start+maxMatch]
	end := binary.LittleEndian.Uint16(scan[best-1:])
	for {
		m := c.window[cur : cur+maxMatch]
		if binary.LittleEndian.Uint16(m[best-1:]) == end && m[0] == scan[0] && m[1] == scan[1] {
			if n := common(scan, m); n > best {
				c.matchStart, best = cur, n
				if n >= nice {
					break
				}
				end = binary.LittleEndian.Uint16(scan[best-1:])
			}
		}
		cur = int(c.prev[cur&windowMask])
		if chain--; cur <= limit || chain == 0 {
			break
		}
	}
	return min(best, c.lookahead)
}

// common is the length of the common prefix of a and b, both maxMatch bytes.
func common(a, b []byte) int {
	a, b = a[:maxMatch], b[:maxMatch]
	i := 0
	for ; i+8 <= maxMatch; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < maxMatch && a[i] == b[i] {
		i++
	}
	return i
}

// greedyMatch takes each match that it finds (levels 1 to 3).
func (c *Compressor) greedyMatch() bool {
	for {
		if c.lookahead < minLookahead {
			if c.fill(); c.lookahead == 0 {
				break
			}
		}
		head, n := 0, 0
		if c.lookahead >= minMatch {
			head = c.insert(c.start)
		}
		if head != 0 && c.start-head <= maxDist {
			n = c.longest(head, minMatch-1)
		}
		full := false
		if n >= minMatch {
			full = c.match(c.start-c.matchStart, n)
			c.lookahead -= n
			if n <= c.lazy && c.lookahead >= minMatch {
				for i := 1; i < n; i++ {
					c.insert(c.start + i)
				}
			}
			c.start += n
		} else {
			full = c.literal(c.window[c.start])
			c.lookahead--
			c.start++
		}
		if full && !c.flushBlock(false) {
			return false
		}
	}
	return c.flushBlock(true)
}

// lazyMatch takes a match unless the next position has a longer one (levels 4 to 9).
func (c *Compressor) lazyMatch() bool {
	n, available := minMatch-1, false
	for {
		if c.lookahead < minLookahead {
			if c.fill(); c.lookahead == 0 {
				break
			}
		}
		head := 0
		if c.lookahead >= minMatch {
			head = c.insert(c.start)
		}
		before, beforeStart := n, c.matchStart
		n = minMatch - 1
		if head != 0 && before < c.lazy && c.start-head <= maxDist {
			n = c.longest(head, before)
			if n == minMatch && c.start-c.matchStart > tooFar {
				n = minMatch - 1
			}
		}
		full := false
		switch {
		case before >= minMatch && n <= before:
			full = c.match(c.start-1-beforeStart, before)
			c.skip(before - 2)
			available, n = false, minMatch-1
		case available:
			if c.literal(c.window[c.start-1]) && !c.flushBlock(false) {
				return false
			}
			c.start++
			c.lookahead--
		default:
			available = true
			c.start++
			c.lookahead--
		}
		if full && !c.flushBlock(false) {
			return false
		}
	}
	if available {
		c.literal(c.window[c.start-1])
	}
	return c.flushBlock(true)
}

// skip moves on over the rest of a match, of which n strings are still to be inserted, and one position more.
func (c *Compressor) skip(n int) {
	last := c.start + c.lookahead - minMatch
	c.lookahead -= n + 1
	for range n {
		if c.start++; c.start <= last {
			c.insert(c.start)
		}
	}
	c.start++
}
