package deflate

import "encoding/binary"

// blocks turns symbols into deflate blocks.
type blocks struct {
	out   []byte
	bits  uint64
	nbits uint

	lit, dist, bl *tree
	syms          []symbol
}

// symbol is a literal (dist 0) or a match: length less minMatch, and distance.
type symbol struct {
	dist uint16
	lit  uint8
}

func newBlocks() *blocks {
	return &blocks{
		lit:  newTree(litCodes, literals+1, maxBits, extraLength[:], fixedLit[:]),
		dist: newTree(distCodes, 0, maxBits, extraDist[:], fixedDist[:]),
		bl:   newTree(blCodes, 0, maxBLBits, extraBL[:], nil),
		syms: make([]symbol, 0, blockSymbols),
	}
}

// start begins a stream that is appended to out.
func (b *blocks) start(out []byte) {
	b.out, b.bits, b.nbits = out, 0, 0
	b.startBlock()
}

func (b *blocks) startBlock() {
	clear(b.lit.freq)
	clear(b.dist.freq)
	clear(b.bl.freq)
	b.lit.freq[endOfBlock] = 1
	b.syms = b.syms[:0]
}

// literal adds a literal and reports whether the block is full.
func (b *blocks) literal(c byte) bool {
	b.syms = append(b.syms, symbol{0, c})
	b.lit.freq[c]++
	return len(b.syms) == blockSymbols
}

// match adds a match and reports whether the block is full.
func (b *blocks) match(dist, length int) bool {
	s := symbol{uint16(dist), uint8(length - minMatch)}
	b.syms = append(b.syms, s)
	b.lit.freq[literals+1+int(lengthCode[s.lit])]++
	b.dist.freq[codeOfDist(s.dist-1)]++
	return len(b.syms) == blockSymbols
}

func (b *blocks) put(v uint64, n uint) {
	b.bits |= v << b.nbits
	if b.nbits += n; b.nbits >= 32 {
		b.out = binary.LittleEndian.AppendUint32(b.out, uint32(b.bits))
		b.bits >>= 32
		b.nbits -= 32
	}
}

func (b *blocks) code(c symbolCode) { b.put(uint64(c.code), uint(c.len)) }

// align fills up to a whole byte.
func (b *blocks) align() {
	for ; b.nbits > 0; b.nbits -= min(8, b.nbits) {
		b.out = append(b.out, byte(b.bits))
		b.bits >>= 8
	}
	b.bits = 0
}

// Block types, RFC 1951, section 3.2.3.
const (
	typeStored  = 0
	typeFixed   = 1
	typeDynamic = 2
)

// flush writes the block, of which raw is the content, nil if that is no longer at hand.
func (b *blocks) flush(raw []byte, last bool) {
	var s sizes
	b.lit.build(&s)
	b.dist.build(&s)
	top := b.header(&s)
	dynamic, fixed := (s.dynamic+3+7)>>3, (s.fixed+3+7)>>3
	best := min(dynamic, fixed)
	head := uint64(0)
	if last {
		head = 1
	}
	switch {
	case raw != nil && len(raw)+4 <= best:
		b.put(typeStored<<1|head, 3)
		b.stored(raw)
	case fixed == best:
		b.put(typeFixed<<1|head, 3)
		b.symbols(fixedLit[:], fixedDist[:])
	default:
		b.put(typeDynamic<<1|head, 3)
		b.trees(top)
		b.symbols(b.lit.codes, b.dist.codes)
	}
	b.startBlock()
	if last {
		b.align()
	}
}

func (b *blocks) stored(raw []byte) {
	b.align()
	b.out = binary.LittleEndian.AppendUint16(b.out, uint16(len(raw)))
	b.out = binary.LittleEndian.AppendUint16(b.out, ^uint16(len(raw)))
	b.out = append(b.out, raw...)
}

// header builds the code of the code lengths, and returns the last of blOrder that is sent.
func (b *blocks) header(s *sizes) int {
	count := func(code uint8, _ int) { b.bl.freq[code]++ }
	b.lit.runs(count)
	b.dist.runs(count)
	b.bl.build(s)
	top := blCodes - 1
	for top >= 3 && b.bl.codes[blOrder[top]].len == 0 {
		top--
	}
	s.dynamic += 3*(top+1) + 5 + 5 + 4
	return top
}

// trees writes the header of a dynamic block.
func (b *blocks) trees(top int) {
	b.put(uint64(b.lit.maxCode+1-257), 5)
	b.put(uint64(b.dist.maxCode+1-1), 5)
	b.put(uint64(top+1-4), 4)
	for _, i := range blOrder[:top+1] {
		b.put(uint64(b.bl.codes[i].len), 3)
	}
	send := func(code uint8, count int) {
		b.code(b.bl.codes[code])
		b.put(uint64(count), uint(extraBL[code]))
	}
	b.lit.runs(send)
	b.dist.runs(send)
}

// symbols writes the content of a block.
func (b *blocks) symbols(lit, dist []symbolCode) {
	for _, s := range b.syms {
		if s.dist == 0 {
			b.code(lit[s.lit])
			continue
		}
		l := lengthCode[s.lit]
		b.code(lit[literals+1+int(l)])
		if n := extraLength[l]; n != 0 {
			b.put(uint64(s.lit)-uint64(baseLength[l]), uint(n))
		}
		d := codeOfDist(s.dist - 1)
		b.code(dist[d])
		if n := extraDist[d]; n != 0 {
			b.put(uint64(s.dist-1)-uint64(baseDist[d]), uint(n))
		}
	}
	b.code(lit[endOfBlock])
}
