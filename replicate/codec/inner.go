package codec

import (
	"encoding/binary"
	"hash/adler32"
	"sync"

	"github.com/weirstor/weir/replicate/codec/deflate"
)

// inner is a deflate stream within a chunk: it travels as what it holds.
type inner struct {
	kind    int // level, and innerZlib
	content []byte
	matches []match // of content
}

// compressors of deflate streams hold some 100 KiB each; encoders and decoders share them.
var deflaters = sync.Pool{New: func() any { return deflate.NewCompressor() }}

// zlibHead is the header of a zlib stream by level, RFC 1950, section 2.2.
var zlibHead = [innerLevels + 1][2]byte{1: {0x78, 0x01}, 2: {0x78, 0x5e}, 3: {0x78, 0x5e}, 4: {0x78, 0x5e}, 5: {0x78, 0x5e},
	6: {0x78, 0x9c}, 7: {0x78, 0xda}, 8: {0x78, 0xda}, 9: {0x78, 0xda}}

const zlibTail = 4 // Adler-32 of the content

// deflateAs appends content to dst, deflated as kind says.
func deflateAs(c *deflate.Compressor, dst, content []byte, kind int) []byte {
	level := kind &^ innerZlib
	if kind&innerZlib == 0 {
		return c.Append(dst, content, level)
	}
	dst = c.Append(append(dst, zlibHead[level][:]...), content, level)
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(content))
}

// innerDecoder is the memory for the stream that is being decoded.
type innerDecoder struct {
	content []byte
	out     []byte
}

// deflated decodes token t, with the inner tokens that follow, to the beginning of out; off and stream are as for apply.
// It returns how many inner tokens there were.
func (d *decoder) deflated(t token, out []byte, off, stream int64) (used uint64, err error) {
	lit, err := d.frame.literal(t)
	if err != nil {
		return 0, err
	}
	copy(out, lit)
	out, off = out[t.lit:][:t.copy], off+int64(t.lit)
	kind, err := d.frame.uvarint(colSources)
	if err != nil {
		return 0, err
	}
	size, err := d.frame.uvarint(colSources)
	if err != nil {
		return 0, err
	}
	if level := kind &^ innerZlib; level < 1 || level > innerLevels {
		return 0, corrupt("deflate stream of kind %d", kind)
	}
	if size > MaxInnerBytes || size > MaxInnerRatio*t.copy {
		return 0, corrupt("deflate stream of %d bytes holds %d", t.copy, size)
	}
	if used, err = d.innerTokens(int(size), off, stream); err != nil {
		return 0, err
	}
	c := deflaters.Get().(*deflate.Compressor)
	defer deflaters.Put(c)
	d.inner.out = deflateAs(c, d.inner.out[:0], d.inner.content, int(kind))
	if len(d.inner.out) != len(out) {
		return 0, d.innerMismatch(len(d.inner.out), len(out))
	}
	copy(out, d.inner.out)
	return used, nil
}

// innerTokens decodes the content of a deflate stream.
func (d *decoder) innerTokens(size int, off, stream int64) (used uint64, err error) {
	if cap(d.inner.content) < size {
		d.inner.content = make([]byte, size)
	}
	content := d.inner.content[:size]
	clear(content)
	for pos := 0; pos < size; used++ {
		t, err := d.frame.next()
		if err != nil {
			return 0, err
		}
		if t.class != classInner || t.op == opSelf || t.op == opInner || t.lit+t.copy > uint64(size-pos) {
			return 0, corrupt("inner token of class %d, op %d, %d bytes; %d are left", t.class, t.op, t.lit+t.copy, size-pos)
		}
		if err := d.apply(t, content[pos:], off+int64(pos), stream); err != nil {
			return 0, err
		}
		pos += int(t.lit + t.copy)
	}
	d.inner.content = content
	return used, nil
}

// innerMismatch is the error for a stream of another length than the encoder's: its content came from elsewhere, unless
// it all was in the pack.
func (d *decoder) innerMismatch(got, want int) error {
	if len(d.sources) > 0 {
		return d.sourceMismatch()
	}
	return corrupt("deflate stream of %d bytes, want %d", got, want)
}
