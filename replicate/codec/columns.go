package codec

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"

	"github.com/weirstor/weir/classify/engine"
)

// minDeflate is the size below which a column is not worth a compressor's attempt, bytes.
const minDeflate = 24

// columns is the content of a frame, column by column.
type columns [numColumns][]byte

// reset empties the columns and keeps their memory.
func (c *columns) reset() {
	for i := range c {
		c[i] = c[i][:0]
	}
}

// uvarint appends v to column i.
func (c *columns) uvarint(i int, v uint64) { c[i] = binary.AppendUvarint(c[i], v) }

// appendTo appends all columns to dst, each compressed as e says where that makes it smaller, and tells how many bytes
// each became.
func (c *columns) appendTo(dst, scratch []byte, e [numColumns]engine.Squeeze) (out, kept []byte, size [numColumns]int) {
	var small []byte
	for i, col := range c {
		at := len(dst)
		method := uint64(storeRaw)
		switch {
		case len(col) < minDeflate || e[i] == engine.SqueezeNone:
		case e[i] == engine.SqueezeS2:
			method = storeS2
			scratch = s2.Encode(scratch[:cap(scratch)], col)
			small = scratch
		default:
			method = storeZstd
			small, scratch = compress(small[:0], col, scratch, e[i])
		}
		if n := len(small); method != storeRaw && n+3 < len(col) {
			dst = binary.AppendUvarint(dst, uint64(len(col))<<storeBits|method)
			dst = binary.AppendUvarint(dst, uint64(n))
			dst = append(dst, small...)
		} else {
			dst = binary.AppendUvarint(dst, uint64(len(col))<<storeBits|storeRaw)
			dst = append(dst, col...)
		}
		size[i] = len(dst) - at
	}
	return dst, scratch, size
}

// parse reads what appendTo wrote, in a frame of a type, and returns what is behind it. Stored columns alias b.
func (c *columns) parse(b []byte, frameType uint8, scratch []byte) (rest, kept []byte, err error) {
	bits := storeBits
	if frameType == oldestFrameType {
		bits = 1
	}
	total := 0
	for i := range c {
		var head, n uint64
		if head, b, err = takeUvarint(b); err != nil {
			return nil, scratch, err
		}
		raw, method := head>>bits, head&(1<<bits-1)
		if raw > MaxColumnBytes || total+int(raw) > MaxColumnBytes {
			return nil, scratch, corrupt("columns of more than %d bytes", MaxColumnBytes)
		}
		total += int(raw)
		n = raw
		if method != storeRaw {
			if n, b, err = takeUvarint(b); err != nil {
				return nil, scratch, err
			}
		}
		if n > uint64(len(b)) {
			return nil, scratch, corrupt("column %d has %d bytes, %d are left", i, n, len(b))
		}
		switch method {
		case storeRaw:
			c[i] = b[:n:n]
		case storeZstd:
			c[i], scratch, err = expand(nil, b[:n], int(raw), scratch)
		case storeS2:
			c[i], err = expandS2(nil, b[:n], int(raw))
		default:
			err = corrupt("column %d is stored by method %d", i, method)
		}
		if err != nil {
			return nil, scratch, err
		}
		b = b[n:]
	}
	return b, scratch, nil
}

// expandS2 returns the n bytes that src holds as an S2 block, in dst if there is room.
func expandS2(dst, src []byte, n int) ([]byte, error) {
	if got, err := s2.DecodedLen(src); err != nil || got != n {
		return nil, corrupt("S2 column of %d bytes, want %d: %v", got, n, err)
	}
	if cap(dst) < n {
		dst = make([]byte, n)
	}
	out, err := s2.Decode(dst[:n], src)
	if err != nil {
		return nil, corrupt("S2 column: %v", err)
	}
	return out, nil
}

// takeUvarint cuts a varint off b.
func takeUvarint(b []byte) (v uint64, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, corrupt("varint in %d bytes", len(b))
	}
	return v, b[n:], nil
}

// take cuts n bytes off b.
func take(b []byte, n uint64) (v, rest []byte, err error) {
	if n > uint64(len(b)) {
		return nil, nil, corrupt("%d bytes wanted, %d are left", n, len(b))
	}
	return b[:n:n], b[n:], nil
}
