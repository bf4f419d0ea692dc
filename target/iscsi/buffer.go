package iscsi

import (
	"sync"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// bufferSizes are the sizes of pooled buffers, in bytes, ascending.
var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, scsi.MaxTransfer}

var bufferPools [len(bufferSizes)]sync.Pool

// buffer is a pooled slice. Whoever holds it last calls release, once.
type buffer struct {
	b    []byte // as long as was asked for
	full []byte
	pool *sync.Pool
}

// getBuffer returns a buffer of n bytes, at most scsi.MaxTransfer, with unspecified content.
func getBuffer(n int) *buffer {
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		b, _ := bufferPools[i].Get().(*buffer)
		if b == nil {
			b = &buffer{full: make([]byte, size), pool: &bufferPools[i]}
		}
		b.b = b.full[:n]
		return b
	}
	return &buffer{b: make([]byte, n)}
}

func (b *buffer) release() {
	if b == nil || b.pool == nil {
		return
	}
	b.b = nil
	b.pool.Put(b)
}
