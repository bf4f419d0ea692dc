package nbd

import (
	"math/bits"
	"sync"
)

// buffer is a piece of memory from a pool.
type buffer struct {
	b     []byte
	class int
}

const (
	smallestClass = 12 // 4 KiB
	largestClass  = 25 // 32 MiB
	headroom      = 2 * replyRoom
)

// buffers holds a pool for each power of two from 4 KiB to 32 MiB. Every buffer has headroom beyond it for the headers
// of a reply.
var buffers [largestClass + 1]sync.Pool

// getBuffer returns a buffer with room for n bytes, at most MaxPayload + headroom.
func getBuffer(n int) *buffer {
	class := max(smallestClass, bits.Len(uint(max(n-headroom, 1)-1)))
	if v, ok := buffers[class].Get().(*buffer); ok {
		return v
	}
	return &buffer{b: make([]byte, 0, 1<<class+headroom), class: class}
}

// free gives v back. Its content must not be used any more.
func (v *buffer) free() {
	if cap(v.b) == 1<<v.class+headroom {
		v.b = v.b[:0]
		buffers[v.class].Put(v)
	}
}
