package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io"

	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/replicate/codec/deflate"
)

// Which deflate streams are worth the attempt.
const (
	innerMin    = 48       // bytes of a stream; shorter ones are not looked at
	innerChunk  = 4 << 20  // literals of all streams of a chunk
	innerHeld   = 16 << 20 // content of all streams of a chunk
	innerTried  = 64 << 20 // content of all streams of an epoch that are looked at
	innerToken  = 5        // what a copy in the content costs, about, bytes
	innerFactor = 5        // literals of the content become a fifth, about
)

// zlibMethod begins a zlib stream with a window of 32 KiB (RFC 1950, section 2.2, CMF).
const zlibMethod = 0x78

// unpacker finds deflate streams in new content that compress again to the same bytes.
type unpacker struct {
	matcher  *matcher // of what the streams hold
	inflater *deflate.Inflater
	tried    int64
	work     int64 // that was done, picoseconds
	scratch  []byte
	out      []match

	literals int // of the streams of this chunk
	held     int // content of the streams of this chunk
	beyond   int // end of a stream that begins in the chunk and ends behind it; -1: none
	cut      int // where a stream begins that goes on behind what was searched, if that is at a leaf block; -1: none
}

func newUnpacker(made *results) *unpacker {
	u := &unpacker{matcher: newMatcher(made), inflater: deflate.NewInflater()}
	u.matcher.level = engine.SearchIndex
	return u
}

// start begins an epoch.
func (u *unpacker) start(x *index, volumes sources) {
	u.matcher.start(x, volumes)
	u.tried = 0
}

// unpack replaces, in the matches that cover the chunk [a, b) of w, what begins a deflate stream where no match is. The
// result is valid until the next call. stream is the position in the stream of results of the window's first byte.
//
// Streams are looked for up to end, behind the chunk: one that ends behind b sets beyond, and one that goes on behind
// end sets cut; the caller moves b then.
func (u *unpacker) unpack(w *window, a, b, end int, matches []match, stream int64) []match {
	u.out = u.out[:0]
	u.literals, u.held, u.cut, u.beyond = 0, 0, -1, -1
	at := a // content before it is done
	for i := 0; ; i++ {
		gap := b
		if i < len(matches) {
			gap = matches[i].at
		}
		for p := at; p+innerMin <= gap; p++ {
			k := bytes.IndexByte(w.new[p:gap-innerMin+1], zlibMethod)
			if k < 0 {
				break
			}
			p += k
			n, z := u.find(w.new[:end], p)
			if z == nil {
				continue
			}
			if p+n > b {
				u.beyond = p + n
				return u.out
			}
			if u.worth(w, p, n, z, stream) {
				u.out = append(u.out, match{at: p, n: n, op: opInner, inner: z})
			}
			p += n - 1
			at = p + 1
		}
		if i == len(matches) {
			return u.out
		}
		if m := matches[i]; m.at+m.n > at {
			if cut := at - m.at; cut > 0 { // a stream ends within the match
				m.at, m.n = at, m.n-cut
			}
			u.out = append(u.out, m)
			at = m.at + m.n
		}
	}
}

// before returns the matches that lie before cut, the last one shortened.
func (u *unpacker) before(matches []match) []match {
	for i := range matches {
		if m := &matches[i]; m.at+m.n > u.cut {
			if m.n = u.cut - m.at; m.n <= 0 || m.op == opInner {
				return matches[:i]
			}
			return matches[:i+1]
		}
	}
	return matches
}

// find returns the length and the content of a deflate stream that begins at p, if it is one that can be made again.
func (u *unpacker) find(b []byte, p int) (int, *inner) {
	if isZlibHead(b, p) {
		return u.zlib(b, p)
	}
	return 0, nil
}

// isZlibHead reports whether the two bytes at p are the header of a zlib stream without a dictionary.
func isZlibHead(b []byte, p int) bool {
	return b[p] == zlibMethod && (int(b[p])<<8|int(b[p+1]))%31 == 0 && b[p+1]&0x20 == 0
}

// levelsOf are the levels that a zlib header stands for, the usual one first (RFC 1950, section 2.2, FLEVEL).
var levelsOf = [4][]int{{1}, {5, 4, 3, 2}, {6}, {9, 8, 7}}

// zlib is find for a zlib stream.
func (u *unpacker) zlib(b []byte, p int) (int, *inner) {
	body := b[p+2:]
	limit := min(MaxInnerBytes, innerHeld-u.held, MaxInnerRatio*len(body))
	if u.tried > innerTried || u.literals > innerChunk {
		return 0, nil
	}
	content, used, err := u.inflater.Append(u.scratch[:0], body, limit)
	u.scratch = content
	u.tried += int64(len(content))
	u.work += workInflate * int64(len(content))
	if errors.Is(err, io.ErrUnexpectedEOF) && p%blockSize == 0 {
		u.cut = p
	}
	total := 2 + used + zlibTail
	if err != nil || total < innerMin || len(body) < used+zlibTail || len(content) > MaxInnerRatio*total ||
		binary.BigEndian.Uint32(body[used:]) != adler32.Checksum(content) {
		return 0, nil
	}
	c := deflaters.Get().(*deflate.Compressor)
	defer deflaters.Put(c)
	for _, level := range levelsOf[b[p+1]>>6] {
		u.work += workDeflate * int64(len(content))
		if c.Equal(content, body[:used], nil, level) {
			return total, &inner{kind: level | innerZlib, content: append([]byte(nil), content...)}
		}
	}
	return 0, nil
}

// worth looks for copies in what a stream of n bytes at p holds, and reports whether that is likely cheaper than the
// stream itself.
func (u *unpacker) worth(w *window, p, n int, z *inner, stream int64) bool {
	v := &window{volume: w.volume, off: w.off + int64(p), new: z.content}
	u.matcher.begin(v, 0, stream+int64(p))
	u.matcher.search(v, 0, len(z.content))
	cost := len(z.content)
	for _, m := range u.matcher.out {
		cost -= m.n
	}
	u.held += len(z.content)
	u.literals += cost
	cost = cost/innerFactor + innerToken*(1+len(u.matcher.out))
	z.matches = append([]match(nil), u.matcher.out...)
	return cost < n
}
