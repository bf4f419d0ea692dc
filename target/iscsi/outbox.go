package iscsi

import (
	"net"
	"sync"

	"github.com/weirstor/weir/target/iscsi/wire"
)

const (
	copyMax     = 2 << 10 // data segments up to this size are copied next to their header
	outboxBytes = 4 << 20 // unsent bytes from which on answers wait
	flushBytes  = 256 << 10
	slabKeep    = 256 << 10 // larger slabs are not kept for reuse
)

// parcel is a number of PDUs on their way out.
//
// Invariant: slab holds headers, small data and tails in order; before slab[marks[i].at] belongs marks[i].data.
type parcel struct {
	slab  []byte
	marks []mark
	bufs  []*buffer
	bytes int
}

type mark struct {
	at   int
	data []byte
}

// outbox collects PDUs and writes them. Any goroutine may add; the one that finds nobody writing writes for all.
type outbox struct {
	nc net.Conn

	mu                       sync.Mutex
	drained                  *sync.Cond
	open                     parcel // being filled
	closed                   parcel // being written, while writing is set
	writing                  bool
	err                      error
	headerDigest, dataDigest bool

	vecs net.Buffers // of the parcel being written
	rest net.Buffers // what WriteTo has left of vecs
}

func (o *outbox) init(nc net.Conn) {
	o.nc = nc
	o.drained = sync.NewCond(&o.mu)
}

// addLocked appends a PDU. data must stay as it is until it is written; buf, if not nil, is then released. addLocked
// takes buf in any case.
func (o *outbox) addLocked(h *wire.Header, data []byte, buf *buffer) {
	if o.err != nil {
		buf.release()
		return
	}
	p := &o.open
	h.SetDataLen(len(data))
	before := len(p.slab)
	p.slab = wire.AppendHeader(p.slab, h, o.headerDigest)
	if len(data) <= copyMax {
		p.slab = append(p.slab, data...)
	} else {
		p.marks = append(p.marks, mark{len(p.slab), data})
		p.bytes += len(data)
	}
	if buf != nil && len(p.marks) > 0 { // earlier PDUs may refer to the same buffer
		p.bufs = append(p.bufs, buf)
	} else {
		buf.release()
	}
	p.slab = wire.AppendTail(p.slab, data, o.dataDigest)
	p.bytes += len(p.slab) - before
}

// makeRoom waits until the outbox holds less than its limit, writing if nobody else does.
func (o *outbox) makeRoom() {
	o.mu.Lock()
	for o.open.bytes >= outboxBytes && o.err == nil {
		if o.writing {
			o.drained.Wait()
		} else {
			o.writeLocked()
		}
	}
	o.mu.Unlock()
}

// flush writes what is in the outbox, unless another goroutine does so already.
func (o *outbox) flush() {
	o.mu.Lock()
	if !o.writing {
		o.writeLocked()
	}
	o.mu.Unlock()
}

// drain returns when nothing is left to write.
func (o *outbox) drain() {
	o.mu.Lock()
	for o.err == nil && (o.writing || o.open.bytes > 0) {
		if o.writing {
			o.drained.Wait()
		} else {
			o.writeLocked()
		}
	}
	o.mu.Unlock()
}

// full reports whether enough is collected to be worth a write.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open.bytes >= flushBytes
}

// writeLocked writes until the outbox is empty. It lets go of the lock while it writes.
func (o *outbox) writeLocked() {
	o.writing = true
	for o.open.bytes > 0 && o.err == nil {
		o.open, o.closed = o.closed, o.open
		o.mu.Unlock()
		err := o.send(&o.closed)
		o.mu.Lock()
		o.closed.reset()
		if err != nil {
			o.err = err
			o.open.reset()
			_ = o.nc.Close() // ends the reader too
		}
		o.drained.Broadcast()
	}
	o.writing = false
	o.drained.Broadcast()
}

// fail makes all later PDUs vanish.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
		o.open.reset()
		o.drained.Broadcast()
	}
	o.mu.Unlock()
}

func (o *outbox) send(p *parcel) error {
	if len(p.marks) == 0 {
		_, err := o.nc.Write(p.slab)
		return err
	}
	o.vecs = o.vecs[:0]
	from := 0
	for _, m := range p.marks {
		o.vecs = append(o.vecs, p.slab[from:m.at], m.data)
		from = m.at
	}
	if from < len(p.slab) {
		o.vecs = append(o.vecs, p.slab[from:])
	}
	o.rest = o.vecs
	_, err := o.rest.WriteTo(o.nc)
	clear(o.vecs)
	return err
}

func (p *parcel) reset() {
	for _, b := range p.bufs {
		b.release()
	}
	clear(p.bufs)
	clear(p.marks)
	p.slab, p.marks, p.bufs, p.bytes = p.slab[:0], p.marks[:0], p.bufs[:0], 0
	if cap(p.slab) > slabKeep {
		p.slab = nil
	}
}
