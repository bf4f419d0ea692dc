package clone

import (
	"errors"

	"github.com/weirstor/weir/target"
)

// edges are the base's content of the first and the last block of a write that covers them in part; nil where the write
// covers the block, or the block is not absent.
type edges struct{ head, tail []byte }

// blockRange returns where block b lies.
func (o *overlay) blockRange(b uint64) (off int64, n int) {
	off = int64(b) * BlockBytes
	return off, int(min(BlockBytes, o.size-off))
}

// readEdges reads what a write of n bytes at off must keep of absent blocks. The base never changes, so no lock is held.
func (o *overlay) readEdges(off int64, n int) (e edges, err error) {
	end := off + int64(n)
	if off%BlockBytes != 0 {
		if e.head, err = o.baseBlock(uint64(off / BlockBytes)); err != nil {
			return e, err
		}
	}
	if end%BlockBytes != 0 && end != o.size {
		e.tail, err = o.baseBlock(uint64(end / BlockBytes))
	}
	return e, err
}

// baseBlock returns the base's content of a block; nil when the block is not absent.
func (o *overlay) baseBlock(b uint64) ([]byte, error) {
	if c, _ := o.classify(b, b); c != absent {
		return nil, nil
	}
	off, n := o.blockRange(b)
	p := make([]byte, n)
	if err := o.base.ReadAt(p, off); err != nil {
		return nil, ioError("read", off, n, err)
	}
	return p, nil
}

// write stores p at off.
func (o *overlay) write(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	e, err := o.readEdges(off, len(p))
	if err != nil {
		return err
	}
	first, last := uint64(off/BlockBytes), uint64(off+int64(len(p))-1)/BlockBytes
	defer o.rows.lock(first, last)()
	o.gate.RLock()
	defer o.gate.RUnlock()
	if err := o.latched(); err != nil {
		return err
	}
	for b := first; b <= last; {
		c, n := o.classify(b, last)
		if err := o.writeRun(c, b, n, p, off, e); err != nil {
			return err
		}
		b += n
	}
	return nil
}

// writeRun stores the part of p that falls on the n blocks from block b on, all of one class.
func (o *overlay) writeRun(c class, b, n uint64, p []byte, off int64, e edges) error {
	start := int64(b) * BlockBytes
	end := min(start+int64(n)*BlockBytes, o.size)
	from, to := max(off, start), min(off+int64(len(p)), end)
	part := p[from-off : to-off]
	if c == settled {
		return o.store(part, from)
	}
	if from != start || to != end {
		whole := make([]byte, end-start)
		if err := o.fillEdges(c, whole, start, from, to, e); err != nil {
			return err
		}
		copy(whole[from-start:], part)
		part = whole
	}
	return o.install(c, b, part)
}

// fillEdges fills what a write to [from, to) keeps of the blocks in whole, which begins at start.
func (o *overlay) fillEdges(c class, whole []byte, start, from, to int64, e edges) error {
	if c == absent {
		if from != start {
			copy(whole, e.head)
		}
		if tail := to / BlockBytes * BlockBytes; to != start+int64(len(whole)) {
			copy(whole[tail-start:], e.tail)
		}
		return nil
	}
	for _, at := range []int64{start, (start + int64(len(whole)) - 1) / BlockBytes * BlockBytes} {
		part := whole[at-start : min(at-start+BlockBytes, int64(len(whole)))]
		if _, err := o.data.ReadAt(part, at); err != nil {
			return ioError("read", at, len(part), err)
		}
	}
	return nil
}

// install stores whole blocks that are not settled. The content of an absent block stands in the data file before its
// record does, so that a record never tells of a block that was never written; the record of an open block goes first,
// so that its content always has the checksum of some record.
func (o *overlay) install(c class, b uint64, p []byte) error {
	off := int64(b) * BlockBytes
	if c == absent {
		if err := o.store(p, off); err != nil {
			return err
		}
	}
	if err := o.note(dataRecord(b, p)); err != nil {
		return err
	}
	if c == open {
		return o.store(p, off)
	}
	o.add(b, blockCount(int64(len(p))))
	return nil
}

func (o *overlay) store(p []byte, off int64) error {
	if _, err := o.data.WriteAt(p, off); err != nil {
		return ioError("write", off, len(p), err)
	}
	return nil
}

// note appends a record to the map.
func (o *overlay) note(r record) error {
	err := o.maps.append(r)
	if err == nil {
		return nil
	}
	if err = ioError("map", int64(r.first)*BlockBytes, 0, err); !errors.Is(err, target.ErrNoSpace) {
		return o.fail(err)
	}
	return err
}

// zeroStep is how much is made zero at a time.
const zeroStep = 1 << 30

var zeroes [1 << 20]byte

// zero makes [off, off+n) read as zeroes; allocated says that the space must stay.
func (o *overlay) zero(off, n int64, allocated bool) error {
	end := off + n
	for off < end {
		if head := off % BlockBytes; head != 0 || end-off < BlockBytes && end != o.size {
			part := min(BlockBytes-head, end-off)
			if err := o.write(zeroes[:part], off); err != nil {
				return err
			}
			off += part
			continue
		}
		part := min(end-off, zeroStep)
		if off+part != o.size {
			part -= part % BlockBytes
		}
		if err := o.zeroBlocks(uint64(off/BlockBytes), blockCount(part), allocated); err != nil {
			return err
		}
		off += part
	}
	return nil
}

// zeroBlocks makes whole blocks zero.
func (o *overlay) zeroBlocks(first, count uint64, allocated bool) error {
	last := first + count - 1
	defer o.rows.lock(first, last)()
	o.gate.RLock()
	defer o.gate.RUnlock()
	if err := o.latched(); err != nil {
		return err
	}
	for b := first; b <= last; {
		c, n := o.classify(b, last)
		if err := o.zeroRun(c, b, n, allocated); err != nil {
			return err
		}
		b += n
	}
	return nil
}

// zeroRun makes blocks of one class zero, in the order of install.
func (o *overlay) zeroRun(c class, b, n uint64, allocated bool) error {
	if c == open {
		if err := o.note(zeroRecord(b, n)); err != nil {
			return err
		}
	}
	if err := o.clear(b, n, allocated); err != nil {
		return err
	}
	if c != absent {
		return nil
	}
	if err := o.note(zeroRecord(b, n)); err != nil {
		return err
	}
	o.add(b, n)
	return nil
}

// clear makes blocks of the data file zero.
func (o *overlay) clear(b, n uint64, allocated bool) error {
	off := int64(b) * BlockBytes
	end := min(off+int64(n)*BlockBytes, o.size)
	if !allocated {
		if err := o.data.Punch(off, end-off); err != nil {
			return ioError("zero", off, int(end-off), err)
		}
		return nil
	}
	for off < end {
		part := min(end-off, int64(len(zeroes)))
		if err := o.store(zeroes[:part], off); err != nil {
			return err
		}
		off += part
	}
	return nil
}
