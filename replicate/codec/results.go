package codec

import "github.com/weirstor/weir/intercept/leaf"

// results is the stream of leaf blocks that the data chunks of an epoch made so far, the last MaxRepeat bytes of it.
// Encoder and decoder keep the same. It begins anew with each epoch.
type results struct {
	buf   []byte // grows up to MaxRepeat bytes, then is a ring
	total int64  // bytes that were ever added
}

func (r *results) reset() { r.buf, r.total = r.buf[:0], 0 }

// add appends leaf blocks to the stream; not more than MaxRepeat bytes at a time.
func (r *results) add(b []byte) {
	for len(b) > 0 {
		var n int
		if len(r.buf) < MaxRepeat {
			n = min(len(b), MaxRepeat-len(r.buf))
			r.buf = append(r.buf, b[:n]...)
		} else {
			n = copy(r.buf[r.total%MaxRepeat:], b)
		}
		r.total += int64(n)
		b = b[n:]
	}
}

// holds reports whether n bytes at position at of the stream are still there.
func (r *results) holds(at, n int64) bool {
	return at >= 0 && n >= 0 && at >= r.total-MaxRepeat && at+n <= r.total
}

// ReadAt implements View, so that a cursor can look at the stream. What is not held reads as zeroes.
func (r *results) ReadAt(p []byte, at int64) error {
	for len(p) > 0 {
		n := min(int64(len(p)), MaxRepeat-at%MaxRepeat)
		switch {
		case at >= r.total:
			clear(p)
			return nil
		case at < r.total-MaxRepeat:
			n = min(n, r.total-MaxRepeat-at)
			clear(p[:n])
		default:
			n = min(n, r.total-at)
			copy(p[:n], r.buf[at%MaxRepeat:])
		}
		p, at = p[n:], at+n
	}
	return nil
}

// repeats finds leaf blocks of the stream by their leaf: a table without chains, a newer block replaces an older one.
type repeats struct {
	table []repeat
}

type repeat struct {
	leaf leaf.Leaf
	at   int64
}

const repeatEntries = 1 << 13 // twice the leaf blocks that the stream holds

func (r *repeats) reset() { clear(r.table) }

func (r *repeats) add(l leaf.Leaf, at int64) {
	if r.table == nil {
		r.table = make([]repeat, repeatEntries)
	}
	r.table[l%repeatEntries] = repeat{l, at}
}

// find returns where in the stream a block with leaf l, which is not 0, was.
func (r *repeats) find(l leaf.Leaf) (at int64, ok bool) {
	if r.table == nil {
		return 0, false
	}
	e := r.table[l%repeatEntries]
	return e.at, e.leaf == l
}
