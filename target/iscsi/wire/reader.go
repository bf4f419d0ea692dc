package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// What a Reader finds wrong with a PDU. After any of them the stream is not in step any more.
var (
	ErrHeaderDigest = errors.New("header digest does not match")
	ErrDataDigest   = errors.New("data digest does not match")
	ErrTooLong      = errors.New("data segment longer than declared")
)

// directMin is the number of bytes from which on a read goes straight to its destination rather than through the buffer.
const directMin = 32 << 10

// castagnoli is the digest polynomial (RFC 7143, section 13.1).
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Reader takes PDUs from a stream. For each PDU call Next, then Data exactly once (also for an empty data segment).
// Not for concurrent use.
type Reader struct {
	src  io.Reader
	buf  []byte
	r, w int // Invariant: 0 <= r <= w <= len(buf); buf[r:w] is read and not taken

	// MaxData is the longest data segment that Next lets pass, in bytes.
	MaxData int
	// HeaderDigest and DataDigest say whether digests follow, as negotiated.
	HeaderDigest, DataDigest bool

	ahs  [255 * 4]byte
	sum  [4]byte   // digest as received
	drop [512]byte // what nobody wants
}

// NewReader returns a Reader with a buffer of size bytes, at least HeaderLen.
func NewReader(src io.Reader, size int) *Reader {
	return &Reader{src: src, buf: make([]byte, max(size, HeaderLen)), MaxData: 8192}
}

// Grow replaces the buffer by one of size bytes, keeping what is in it. It does nothing if the buffer is that large.
func (r *Reader) Grow(size int) {
	if size <= len(r.buf) {
		return
	}
	b := make([]byte, size)
	r.w = copy(b, r.buf[r.r:r.w])
	r.r = 0
	r.buf = b
}

// Buffered reports whether a whole PDU waits in the buffer, so that Next and Data will not block.
func (r *Reader) Buffered() bool {
	have := r.w - r.r
	if have < HeaderLen {
		return false
	}
	h := (*Header)(r.buf[r.r:])
	need := HeaderLen + h.AHSLen()
	if r.HeaderDigest {
		need += 4
	}
	if n := h.DataLen(); n > 0 {
		need += n + Pad(n)
		if r.DataDigest {
			need += 4
		}
	}
	return have >= need
}

// Next reads the next header into h and returns its additional header segments, valid until the following call.
// io.EOF means that the stream ended between PDUs.
func (r *Reader) Next(h *Header) ([]byte, error) {
	if err := r.full(h[:]); err != nil {
		return nil, err
	}
	ahs := r.ahs[:h.AHSLen()]
	if err := r.within(ahs); err != nil {
		return nil, fmt.Errorf("additional header: %w", err)
	}
	if r.HeaderDigest {
		sum := crc32.Update(crc32.Checksum(h[:], castagnoli), castagnoli, ahs)
		if err := r.digest(sum, ErrHeaderDigest); err != nil {
			return nil, err
		}
	}
	if n := h.DataLen(); n > r.MaxData {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrTooLong, n, r.MaxData)
	}
	return ahs, nil
}

// Data reads the data segment of n bytes with its padding and digest: the first bytes into p, the caller's, and what
// does not fit there is dropped.
func (r *Reader) Data(p []byte, n int) error {
	if n == 0 {
		return nil
	}
	p = p[:min(n, len(p))]
	if err := r.within(p); err != nil {
		return fmt.Errorf("data segment: %w", err)
	}
	var sum uint32
	if r.DataDigest {
		sum = crc32.Checksum(p, castagnoli)
	}
	for left := n + Pad(n) - len(p); left > 0; {
		q := r.drop[:min(left, len(r.drop))]
		if err := r.within(q); err != nil {
			return fmt.Errorf("data segment: %w", err)
		}
		if r.DataDigest {
			sum = crc32.Update(sum, castagnoli, q)
		}
		left -= len(q)
	}
	if !r.DataDigest {
		return nil
	}
	return r.digest(sum, ErrDataDigest)
}

func (r *Reader) digest(sum uint32, mismatch error) error {
	if err := r.within(r.sum[:]); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	if got := binary.LittleEndian.Uint32(r.sum[:]); got != sum {
		return fmt.Errorf("%w: got %08x, want %08x", mismatch, got, sum)
	}
	return nil
}

// within is full in the middle of a PDU, where an end of the stream is unexpected.
func (r *Reader) within(p []byte) error {
	err := r.full(p)
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// full fills p, first from the buffer. What is left of a long p is read from the stream without a copy.
func (r *Reader) full(p []byte) error {
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	started := n > 0
	for n < len(p) {
		if len(p)-n >= min(directMin, len(r.buf)) {
			m, err := r.src.Read(p[n:])
			n += m
			if err != nil && n < len(p) {
				return endOf(err, started || m > 0)
			}
			started = true
			continue
		}
		m, err := r.src.Read(r.buf)
		r.r, r.w = 0, m
		c := copy(p[n:], r.buf[:m])
		r.r, n = c, n+c
		if err != nil && n < len(p) {
			return endOf(err, started || m > 0)
		}
		started = started || m > 0
	}
	return nil
}

func endOf(err error, started bool) error {
	if err == io.EOF && started {
		return io.ErrUnexpectedEOF
	}
	return err
}
