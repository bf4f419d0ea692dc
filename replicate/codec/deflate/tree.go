package deflate

// tree builds the Huffman code of one alphabet as zlib's trees.c does, ties included.
type tree struct {
	codes   []symbolCode // by symbol, and one more as a guard
	freq    []uint16     // by node: symbols, then inner nodes
	dad     []uint16
	len     []uint16
	fixed   []symbolCode // lengths to compare with; nil: none
	extra   []uint8
	base    int // first symbol that has extra bits
	elems   int
	maxBits int
	maxCode int // largest symbol that is used
}

func newTree(elems, base, maxBits int, extra []uint8, fixed []symbolCode) *tree {
	n := 2*elems + 1
	return &tree{codes: make([]symbolCode, elems+1), freq: make([]uint16, n), dad: make([]uint16, n), len: make([]uint16, n),
		fixed: fixed, extra: extra, base: base, elems: elems, maxBits: maxBits}
}

// sizes are the lengths in bits that a block would have.
type sizes struct {
	dynamic, fixed int
}

// heap is the priority queue while a tree is built: at [1, n] the nodes that have no dad yet, from max on all others in
// the order of their frequency.
type heap struct {
	node  [heapSize]uint16
	depth [heapSize]uint8
	n     int
	max   int
}

// build computes the code from the frequencies and adds the cost of the block's symbols to s.
func (t *tree) build(s *sizes) {
	h := heap{max: heapSize}
	t.maxCode = -1
	for n := range t.elems {
		if t.freq[n] != 0 {
			h.n++
			h.node[h.n] = uint16(n)
			t.maxCode = n
		}
		t.len[n] = 0
	}
	for h.n < 2 { // at least two codes, so that each has a bit
		n := 0
		if t.maxCode < 2 {
			t.maxCode++
			n = t.maxCode
		}
		h.n++
		h.node[h.n] = uint16(n)
		t.freq[n] = 1
		s.dynamic--
		if t.fixed != nil {
			s.fixed -= int(t.fixed[n].len)
		}
	}
	for n := h.n / 2; n >= 1; n-- {
		t.sink(&h, n)
	}
	t.join(&h)
	t.lengths(&h, s)
}

// smaller orders nodes by frequency, then depth.
func (t *tree) smaller(h *heap, n, m uint16) bool {
	return t.freq[n] < t.freq[m] || t.freq[n] == t.freq[m] && h.depth[n] <= h.depth[m]
}

// sink restores the order of the queue from position k down.
func (t *tree) sink(h *heap, k int) {
	v := h.node[k]
	for j := 2 * k; j <= h.n; j *= 2 {
		if j < h.n && t.smaller(h, h.node[j+1], h.node[j]) {
			j++
		}
		if t.smaller(h, v, h.node[j]) {
			break
		}
		h.node[k] = h.node[j]
		k = j
	}
	h.node[k] = v
}

// join makes inner nodes of the two least frequent ones until one is left.
func (t *tree) join(h *heap) {
	for node := uint16(t.elems); ; node++ {
		n := h.node[1]
		h.node[1] = h.node[h.n]
		h.n--
		t.sink(h, 1)
		m := h.node[1]
		h.node[h.max-1], h.node[h.max-2] = n, m
		h.max -= 2
		t.freq[node] = t.freq[n] + t.freq[m]
		h.depth[node] = max(h.depth[n], h.depth[m]) + 1
		t.dad[n], t.dad[m] = node, node
		h.node[1] = node
		t.sink(h, 1)
		if h.n < 2 {
			break
		}
	}
	h.max--
	h.node[h.max] = h.node[1]
}

// lengths sets the code lengths, none above maxBits, assigns the codes, and adds up the cost.
func (t *tree) lengths(h *heap, s *sizes) {
	var count [maxBits + 1]uint16
	overflow := 0
	t.len[h.node[h.max]] = 0
	at := h.max + 1
	for ; at < heapSize; at++ {
		n := int(h.node[at])
		l := t.len[t.dad[n]] + 1
		if int(l) > t.maxBits {
			l = uint16(t.maxBits)
			overflow++
		}
		t.len[n] = l
		if n > t.maxCode {
			continue // an inner node
		}
		count[l]++
		x := 0
		if n >= t.base {
			x = int(t.extra[n-t.base])
		}
		s.dynamic += int(t.freq[n]) * (int(l) + x)
		if t.fixed != nil {
			s.fixed += int(t.freq[n]) * (int(t.fixed[n].len) + x)
		}
	}
	if overflow > 0 {
		t.shorten(h, s, &count, overflow)
	}
	for n := range t.elems {
		t.codes[n] = symbolCode{len: t.len[n]}
	}
	assign(t.codes[:t.maxCode+1], count)
}

// shorten moves leaves up until no code is longer than maxBits, then gives the lengths out anew by frequency.
func (t *tree) shorten(h *heap, s *sizes, count *[maxBits + 1]uint16, overflow int) {
	for ; overflow > 0; overflow -= 2 {
		l := t.maxBits - 1
		for count[l] == 0 {
			l--
		}
		count[l]--
		count[l+1] += 2
		count[t.maxBits]--
	}
	at := heapSize
	for l := t.maxBits; l != 0; l-- {
		for n := count[l]; n != 0; {
			at--
			m := int(h.node[at])
			if m > t.maxCode {
				continue
			}
			if int(t.len[m]) != l {
				s.dynamic += (l - int(t.len[m])) * int(t.freq[m])
				t.len[m] = uint16(l)
			}
			n--
		}
	}
}

// runs calls f for the code lengths up to maxCode as the header of a dynamic block codes them: a length, or a repeat
// code with its count.
func (t *tree) runs(f func(code uint8, count int)) {
	prev, next := -1, int(t.codes[0].len)
	count, most, least := 0, 7, 4
	if next == 0 {
		most, least = 138, 3
	}
	for n := 0; n <= t.maxCode; n++ {
		cur := next
		next = 0xffff // the guard
		if n < t.maxCode {
			next = int(t.codes[n+1].len)
		}
		if count++; count < most && cur == next {
			continue
		}
		switch {
		case count < least:
			for range count {
				f(uint8(cur), 0)
			}
		case cur != 0:
			if cur != prev {
				f(uint8(cur), 0)
				count--
			}
			f(repeat3to6, count-3)
		case count <= 10:
			f(repeatZero3, count-3)
		default:
			f(repeatZero11, count-11)
		}
		count, prev = 0, cur
		switch {
		case next == 0:
			most, least = 138, 3
		case cur == next:
			most, least = 6, 3
		default:
			most, least = 7, 4
		}
	}
}
