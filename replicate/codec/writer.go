package codec

import (
	"encoding/binary"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/zeebo/xxh3"
)

// match says that n bytes at at, an offset in the window that is being encoded, need no literal.
type match struct {
	at, n int
	op    uint8 // opSelf, opZero, opInner, or opNear for any displaced copy
	from  place
	fresh bool   // the index found it, or the stream of results: no recent place
	inner *inner // with opInner
}

// share is what a volume and class, in one encoding, put into each column, bytes before compression.
type share struct {
	volume   int
	class    classify.Class
	encoding Encoding
}

// frameWriter collects the chunks of one frame after the other. Volumes keep their numbers for a whole epoch.
type frameWriter struct {
	cols    columns
	fresh   []ident.VolumeID // named for the first time in this frame
	numbers map[ident.VolumeID]int
	recent  recent
	shares  map[share]*[numColumns]int

	segments int
	seg      segment
	rest     uint8 // class of tokens that begin no chunk: classSame, or classInner within a deflate stream
	pass     int   // of the last chunk in this frame; with volume and end the origin of the next gap
	volume   int
	end      int64
}

// segment is the part of a frame that one pair of digests guards.
type segment struct {
	open        bool
	tokens      int
	touched     int64 // leaf blocks of data chunks, bytes
	zero        int64 // leaf blocks of zero chunks, bytes
	base, after []byte
}

func (w *frameWriter) startEpoch() {
	w.numbers = make(map[ident.VolumeID]int)
	w.startFrame()
}

func (w *frameWriter) startFrame() {
	w.cols.reset()
	w.fresh = w.fresh[:0]
	w.recent = recent{}
	w.shares = make(map[share]*[numColumns]int)
	w.segments, w.pass, w.volume, w.end = 0, 0, -1, 0
}

// number is the number of a volume in the epoch's table.
func (w *frameWriter) number(v ident.VolumeID) int {
	n, ok := w.numbers[v]
	if !ok {
		n = len(w.numbers)
		w.numbers[v] = n
		w.fresh = append(w.fresh, v)
	}
	return n
}

// empty reports whether nothing is in the frame yet.
func (w *frameWriter) empty() bool {
	return w.segments == 0 && !w.seg.open && len(w.cols[colNotices]) == 0
}

// begin makes sure that a segment is open for a chunk of volume v that touches so many bytes of leaf blocks.
func (w *frameWriter) begin(pass int, v ident.VolumeID, touched, zero int64) {
	n := w.number(v)
	if w.seg.open && (w.pass != pass || w.volume != n || w.seg.touched+touched > MaxSegmentBytes ||
		w.seg.zero+zero > MaxSegmentZero) {
		w.closeSegment()
	}
	if w.pass != pass || w.volume != n {
		w.pass, w.volume, w.end = pass, n, 0
	}
	w.seg.open = true
	w.seg.touched += touched
	w.seg.zero += zero
}

// leaves notes the leaves of the next block that a chunk of the open segment touches.
func (w *frameWriter) leaves(before, after leaf.Leaf) {
	w.seg.base = binary.LittleEndian.AppendUint64(w.seg.base, uint64(before))
	w.seg.after = binary.LittleEndian.AppendUint64(w.seg.after, uint64(after))
}

func (w *frameWriter) closeSegment() {
	if !w.seg.open {
		return
	}
	c := &w.cols
	c.uvarint(colSegments, uint64(w.volume)<<1|uint64(w.pass))
	c.uvarint(colSegments, uint64(w.seg.tokens))
	c[colSegments] = binary.LittleEndian.AppendUint64(c[colSegments], xxh3.Hash(w.seg.base))
	c[colSegments] = binary.LittleEndian.AppendUint64(c[colSegments], xxh3.Hash(w.seg.after))
	w.segments++
	w.seg = segment{base: w.seg.base[:0], after: w.seg.after[:0]}
}

// sizes is the length of each column now.
func (w *frameWriter) sizes() (n [numColumns]int) {
	for i := range w.cols {
		n[i] = len(w.cols[i])
	}
	return n
}

// account adds what the columns have grown by since before to a class and encoding.
func (w *frameWriter) account(class classify.Class, e Encoding, before [numColumns]int) {
	k := share{w.volume, class, e}
	s := w.shares[k]
	if s == nil {
		s = new([numColumns]int)
		w.shares[k] = s
	}
	for i := range w.cols {
		s[i] += len(w.cols[i]) - before[i]
	}
}

// zeroChunk writes a chunk of n zeroes at off.
func (w *frameWriter) zeroChunk(off, n int64) {
	before := w.sizes()
	w.cols.uvarint(colGaps, uint64(off-w.end))
	w.token(opZero, uint8(classify.ZeroBlock), nil, false, n)
	w.end = off + n
	w.account(classify.ZeroBlock, EncodedZero, before)
}

// dataChunk writes the chunk of content new at off, of which matches, sorted, need no literal. base is what their
// offsets count from: new begins at matches offset base. It returns how it is encoded and what each column has got.
func (w *frameWriter) dataChunk(off int64, class classify.Class, new []byte, base int, matches []match) (e Encoding, got [numColumns]int) {
	before := w.sizes()
	w.cols.uvarint(colGaps, uint64(off-w.end))
	w.rest = classSame
	w.tokens(uint8(class), new, base, matches)
	w.end = off + int64(len(new))
	got = w.sizes()
	for i := range got {
		got[i] -= before[i]
	}
	e = encodingOf(len(new), matches, got[colRaw] > got[colData])
	w.account(class, e, before)
	return e, got
}

// tokens writes the content new, as dataChunk says. begin is the class that the first token carries.
func (w *frameWriter) tokens(begin uint8, new []byte, base int, matches []match) {
	at := 0
	for i := range matches {
		m := &matches[i]
		begin = w.literal(begin, new[at:m.at-base], m)
		at = m.at - base + m.n
	}
	if at < len(new) {
		w.literal(begin, new[at:], nil)
	}
}

// literal writes the bytes lit and then the copy m, if any. begin is the class that the first token carries.
func (w *frameWriter) literal(begin uint8, lit []byte, m *match) uint8 {
	for len(lit) > 0 {
		n, raw := probe(lit)
		if n == len(lit) && m != nil {
			w.copy(begin, lit, raw, m)
			return w.rest
		}
		w.token(opNone, begin, lit[:n], raw, 0)
		begin, lit = w.rest, lit[n:]
	}
	if m != nil {
		w.copy(begin, nil, false, m)
	}
	return w.rest
}

// copy writes a token with a copy, and picks the cheapest way to name its source.
func (w *frameWriter) copy(begin uint8, lit []byte, raw bool, m *match) {
	if m.op == opInner {
		w.token(opInner, begin, lit, raw, int64(m.n))
		w.cols.uvarint(colSources, uint64(m.inner.kind))
		w.cols.uvarint(colSources, uint64(len(m.inner.content)))
		w.rest = classInner
		w.tokens(classInner, m.inner.content, 0, m.inner.matches)
		w.rest = classSame
		return
	}
	if m.op != opNear {
		w.token(m.op, begin, lit, raw, int64(m.n))
		return
	}
	for i := range w.recent {
		if w.recent[i] == m.from {
			w.recent.use(i)
			w.token(opLast+uint8(i), begin, lit, raw, int64(m.n))
			return
		}
	}
	diff := m.from.disp
	if w.recent[0].volume == w.volume {
		diff -= w.recent[0].disp
	}
	switch {
	case m.from.volume == made:
		w.cols.uvarint(colSources, uint64(-m.from.disp))
		w.token(opMade, begin, lit, raw, int64(m.n))
	case m.from.volume != w.volume:
		w.cols.uvarint(colSources, uint64(m.from.volume))
		w.cols.uvarint(colSources, zigzag(m.from.disp))
		w.token(opOther, begin, lit, raw, int64(m.n))
	case diff%blockSize == 0:
		w.cols.uvarint(colSources, zigzag(diff/blockSize))
		w.token(opPage, begin, lit, raw, int64(m.n))
	default:
		w.cols.uvarint(colSources, zigzag(diff))
		w.token(opNear, begin, lit, raw, int64(m.n))
	}
	w.recent.push(m.from)
}

// token writes one token.
func (w *frameWriter) token(op, begin uint8, lit []byte, raw bool, n int64) {
	c := &w.cols
	ctl, col := op|begin<<classShift, colData
	if raw {
		ctl, col = ctl|flagRaw, colRaw
	}
	c[colControl] = append(c[colControl], ctl)
	c.uvarint(colLiterals, uint64(len(lit)))
	c[col] = append(c[col], lit...)
	if op != opNone {
		c.uvarint(colCopies, uint64(n))
	}
	w.seg.tokens++
}

// notice writes that the host wrote blocks leaf blocks within n bytes at off without changing them.
func (w *frameWriter) notice(v ident.VolumeID, off, n, blocks int64) {
	w.closeSegment()
	c := &w.cols
	before := w.sizes()
	w.volume = w.number(v)
	c.uvarint(colNotices, uint64(w.volume))
	c.uvarint(colNotices, uint64(off))
	c.uvarint(colNotices, uint64(n))
	c.uvarint(colNotices, uint64(blocks))
	w.account(classify.ZeroBlock, EncodedNotice, before)
}

// appendTo closes the frame and appends its payload to dst.
func (w *frameWriter) appendTo(dst, scratch []byte, e [numColumns]engine.Squeeze) (out, kept []byte, size [numColumns]int) {
	w.closeSegment()
	dst = binary.AppendUvarint(dst, uint64(len(w.fresh)))
	for _, v := range w.fresh {
		dst = append(dst, v.UUID[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(w.segments))
	return w.cols.appendTo(dst, scratch, e)
}
