package codec

import "encoding/binary"

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

// appendTo appends all columns to dst, each compressed where that makes it smaller, and tells how many bytes each
// became. colRaw is stored as it is.
func (c *columns) appendTo(dst, scratch []byte, e [numColumns]effort) (out, kept []byte, size [numColumns]int) {
	var small []byte
	for i, col := range c {
		at := len(dst)
		if i != colRaw && len(col) >= minDeflate {
			small, scratch = compress(small[:0], col, scratch, e[i])
		} else {
			small = small[:0]
		}
		if n := len(small); n > 0 && n+3 < len(col) {
			dst = binary.AppendUvarint(dst, uint64(len(col))<<1|storeZstd)
			dst = binary.AppendUvarint(dst, uint64(n))
			dst = append(dst, small...)
		} else {
			dst = binary.AppendUvarint(dst, uint64(len(col))<<1|storeRaw)
			dst = append(dst, col...)
		}
		size[i] = len(dst) - at
	}
	return dst, scratch, size
}

// parse reads what appendTo wrote and returns what is behind it. Stored columns alias b.
func (c *columns) parse(b []byte, scratch []byte) (rest, kept []byte, err error) {
	total := 0
	for i := range c {
		var head, n uint64
		if head, b, err = takeUvarint(b); err != nil {
			return nil, scratch, err
		}
		raw := head >> 1
		if raw > MaxColumnBytes || total+int(raw) > MaxColumnBytes {
			return nil, scratch, corrupt("columns of more than %d bytes", MaxColumnBytes)
		}
		total += int(raw)
		n = raw
		if head&1 == storeZstd {
			if n, b, err = takeUvarint(b); err != nil {
				return nil, scratch, err
			}
		}
		if n > uint64(len(b)) {
			return nil, scratch, corrupt("column %d has %d bytes, %d are left", i, n, len(b))
		}
		if head&1 == storeRaw {
			c[i] = b[:n:n]
		} else if c[i], scratch, err = expand(nil, b[:n], int(raw), scratch); err != nil {
			return nil, scratch, err
		}
		b = b[n:]
	}
	return b, scratch, nil
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
