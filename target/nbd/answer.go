package nbd

import (
	"math"

	"github.com/weirstor/weir/target"
)

const (
	replyRoom  = 64       // bytes of headers in a reply with data; a reply without data that needs more grows its buffer
	warmStep   = 1 << 20  // bytes that CACHE reads at once
	holeMin    = 4096     // shorter holes are sent as zeroes
	holesFrom  = 64 << 10 // bytes from which on a READ asks for holes
	denseAfter = 16
)

// replySize is the most bytes that the reply to r takes if there is no error. Holes make the reply to a READ smaller:
// a hole of at least holeMin is replaced by two headers.
func replySize(r *request) int {
	if r.cmd == cmdRead {
		return int(r.n) + replyRoom
	}
	return replyRoom
}

// answer serves r and appends the whole reply to b. For a READ, b has room for replySize(r).
func (c *conn) answer(b []byte, r *request) []byte {
	if r.refused != nil {
		return c.finish(b, r, r.refused)
	}
	switch r.cmd {
	case cmdRead:
		return c.read(b, r)
	case cmdBlockStatus:
		return c.blockStatus(b, r)
	}
	return c.finish(b, r, c.perform(r))
}

// perform executes a command that returns no data.
func (c *conn) perform(r *request) error {
	switch r.cmd {
	case cmdFlush:
		return c.dev.Flush()
	case cmdTrim:
		return c.pieces(r, func(off, n int64) error { return c.dev.Trim(off, n, r.fua()) })
	case cmdWriteZeroes:
		flags := zeroFlags(r)
		return c.pieces(r, func(off, n int64) error { return c.dev.WriteZeroes(off, n, flags) })
	case cmdCache:
		return c.warm(r)
	}
	return refuse(eINVAL, "command %d is not known", r.cmd)
}

// pieces calls do for the range of r. A range of no bytes needs no call.
func (c *conn) pieces(r *request, do func(off, n int64) error) error {
	if r.n == 0 {
		return nil
	}
	return do(int64(r.off), int64(r.n))
}

// zeroFlags translates the flags of WRITE_ZEROES.
func zeroFlags(r *request) target.ZeroFlags {
	var f target.ZeroFlags
	if r.fua() {
		f |= target.ZeroFUA
	}
	if r.flags&cmdFlagNoHole != 0 {
		f |= target.ZeroNoHole
	}
	if r.flags&cmdFlagFastZero != 0 {
		f |= target.ZeroFast
	}
	return f
}

// warm serves CACHE by reading, at most as much as one READ could; proto.md, "NBD_CMD_CACHE (5)", leaves it to the
// server how much it does.
func (c *conn) warm(r *request) error {
	left := min(r.n, MaxPayload)
	v := getBuffer(int(min(left, warmStep)))
	defer v.free()
	for off := r.off; left > 0; {
		n := min(left, warmStep)
		if err := c.dev.ReadAt(v.b[:n], int64(off)); err != nil {
			return err
		}
		off, left = off+n, left-n
	}
	return nil
}

// read serves READ. The data is read to where it is sent from.
func (c *conn) read(b []byte, r *request) []byte {
	if r.n == 0 {
		return c.style.appendDone(b, r)
	}
	if c.style != simple && r.n >= holesFrom && r.flags&cmdFlagDF == 0 && c.mayBeSparse() {
		if out, ok := c.readSparse(b, r); ok {
			return out
		}
	}
	start := len(b)
	b, err := c.readChunk(b, r, r.off, int(r.n), replyFlagDone)
	if err != nil {
		return c.finish(b[:start], r, err)
	}
	return b
}

// readChunk appends n bytes of the export, from off on, as one chunk.
func (c *conn) readChunk(b []byte, r *request, off uint64, n int, flags uint16) ([]byte, error) {
	b = c.style.appendDataHeader(b, r, off, n, flags)
	data := b[len(b) : len(b)+n]
	if err := c.dev.ReadAt(data, int64(off)); err != nil {
		return b, err
	}
	return b[:len(b)+n], nil
}

// readSparse serves a READ with its holes told as holes; proto.md, "NBD_REPLY_TYPE_OFFSET_HOLE". It returns false if
// there are none worth it.
func (c *conn) readSparse(b []byte, r *request) ([]byte, bool) {
	runs, err := c.dev.Extents(int64(r.off), int64(r.n))
	if err != nil || !anyHole(runs) {
		c.dense.Add(1)
		return b, false
	}
	c.dense.Store(0)
	start := len(b)
	off, end := r.off, r.off+r.n
	for off < end {
		var n uint64
		var hole bool
		n, hole, runs = nextRun(runs, end-off)
		flags := uint16(0)
		if off+n == end {
			flags = replyFlagDone
		}
		if hole {
			b = c.style.appendHole(b, r, off, uint32(n), flags)
		} else if b, err = c.readChunk(b, r, off, int(n), flags); err != nil {
			return c.finish(b[:start], r, err), true
		}
		off += n
	}
	return b, true
}

// mayBeSparse says whether it is worth to ask the device for holes. After denseAfter reads in a row that had none, only
// one in denseAfter asks.
func (c *conn) mayBeSparse() bool {
	return c.dense.Load() < denseAfter || c.dense.Add(1)%denseAfter == 0
}

func isHole(e target.Extent) bool { return e.Kind != target.Data && e.Len >= holeMin }

func anyHole(runs []target.Extent) bool {
	for _, e := range runs {
		if isHole(e) {
			return true
		}
	}
	return false
}

// nextRun takes the longest run of one kind, at most most bytes, off the front of runs. What runs does not cover is
// data.
func nextRun(runs []target.Extent, most uint64) (n uint64, hole bool, rest []target.Extent) {
	if len(runs) == 0 {
		return most, false, nil
	}
	hole = isHole(runs[0])
	for len(runs) > 0 && isHole(runs[0]) == hole && n < most {
		n += uint64(min(max(runs[0].Len, 0), math.MaxInt32))
		runs = runs[1:]
	}
	if n == 0 || len(runs) == 0 && !hole {
		return most, false, nil
	}
	return min(n, most), hole, runs
}
