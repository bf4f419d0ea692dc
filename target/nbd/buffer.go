package nbd

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"
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

// freeRide is the size up to which a buffer counts against its connection only: a connection can have no more than
// Options.Workers of them, and so the large requests of some clients never hold up the small ones of others.
const freeRide = 256 << 10

// budget bounds the bytes in flight of one connection and, together, of all.
type budget struct {
	own, total *semaphore.Weighted
}

// acquire waits until n bytes are free, or ctx ends.
func (b *budget) acquire(ctx context.Context, n int64) error {
	if err := b.own.Acquire(ctx, n); err != nil {
		return err
	}
	if n <= freeRide {
		return nil
	}
	if err := b.total.Acquire(ctx, n); err != nil {
		b.own.Release(n)
		return err
	}
	return nil
}

// tryAcquire takes n bytes if they are free.
func (b *budget) tryAcquire(n int64) bool {
	if !b.own.TryAcquire(n) {
		return false
	}
	if n > freeRide && !b.total.TryAcquire(n) {
		b.own.Release(n)
		return false
	}
	return true
}

func (b *budget) release(n int64) {
	b.own.Release(n)
	if n > freeRide {
		b.total.Release(n)
	}
}
