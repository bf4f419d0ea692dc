package vfs

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovecMax is the most that one call takes (IOV_MAX of Linux).
const iovecMax = 1024

// iovecs is a reusable list of buffers in the kernel's form.
type iovecs struct {
	list []unix.Iovec
}

var iovecPool = sync.Pool{New: func() any { return &iovecs{list: make([]unix.Iovec, 0, 64)} }}

func (v *iovecs) set(bufs [][]byte) {
	v.list = v.list[:0]
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		iov := unix.Iovec{Base: unsafe.SliceData(b)}
		iov.SetLen(len(b))
		v.list = append(v.list, iov)
	}
}

// release forgets the buffers, so that the pool keeps nothing of a caller alive.
func (v *iovecs) release() {
	clear(v.list)
	v.list = v.list[:0]
	iovecPool.Put(v)
}

// advance drops the first n bytes of list.
func advance(list []unix.Iovec, n int) []unix.Iovec {
	for len(list) > 0 && n >= int(list[0].Len) {
		n -= int(list[0].Len)
		list = list[1:]
	}
	if n > 0 {
		list[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(list[0].Base), n))
		list[0].SetLen(int(list[0].Len) - n)
	}
	return list
}

// AlignedBuffer returns n bytes whose address is a multiple of DirectAlign.
func AlignedBuffer(n int) []byte {
	b := make([]byte, n+DirectAlign)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (DirectAlign - 1)
	return b[skip : skip+n : skip+n]
}
