package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/zeebo/xxh3"
)

// segment decodes one segment and emits its chunks. last is the volume and pass of the segment before it in the frame.
func (d *decoder) segment(last int) (int, error) {
	head, err := d.frame.uvarint(colSegments)
	if err != nil {
		return 0, err
	}
	tokens, err := d.frame.uvarint(colSegments)
	if err != nil {
		return 0, err
	}
	digests, rest, err := take(d.frame.cols[colSegments], 2*digestBytes)
	if err != nil {
		return 0, err
	}
	d.frame.cols[colSegments] = rest
	if head>>1 >= uint64(len(d.table)) {
		return 0, corrupt("segment of volume %d of %d", head>>1, len(d.table))
	}
	if err := d.enter(int(head&1), int(head>>1), last != int(head)); err != nil {
		return 0, err
	}
	for tokens > 0 {
		used, err := d.chunk(tokens)
		if err != nil {
			return 0, err
		}
		tokens -= used
	}
	if err := d.check(digests); err != nil {
		return 0, err
	}
	return int(head), d.emit()
}

// enter begins a segment of a volume: the order within an epoch is by pass, then volume, then offset.
func (d *decoder) enter(pass, volume int, fresh bool) error {
	if pass < d.pass {
		return corrupt("pass %d behind pass %d", pass, d.pass)
	}
	if pass != d.pass || volume != d.volume {
		if pass == d.pass && volume < d.volume {
			return corrupt("volume %d behind volume %d", volume, d.volume)
		}
		d.pass, d.volume, d.end = pass, volume, 0
	}
	if fresh {
		d.gapFrom = 0
	}
	d.chunks, d.old, d.new = d.chunks[:0], d.old[:0], d.new[:0]
	d.leaves, d.base, d.after, d.sources = d.leaves[:0], d.base[:0], d.after[:0], d.sources[:0]
	d.touched, d.zeroed = 0, 0
	return nil
}

// chunk decodes one chunk of at most n tokens, and returns how many it took.
func (d *decoder) chunk(n uint64) (used uint64, err error) {
	length, err := d.frame.span(n)
	if err != nil {
		return 0, err
	}
	gap, err := d.frame.uvarint(colGaps)
	if err != nil {
		return 0, err
	}
	off := d.gapFrom + int64(min(gap, MaxOffset))
	if err := d.place(off, length); err != nil {
		return 0, err
	}
	t, err := d.frame.next()
	if err != nil {
		return 0, err
	}
	if t.class >= classify.NumClasses {
		return 0, corrupt("a segment begins with a token of class %d", t.class)
	}
	c := Chunk{Volume: d.table[d.volume], Off: off, Len: length, Class: classify.Class(t.class)}
	if c.Class == classify.ZeroBlock {
		if t.op != opZero || t.lit != 0 || int64(t.copy) != length {
			return 0, corrupt("zero chunk of something else")
		}
		return 1, d.zeroChunk(c)
	}
	return d.dataChunk(c, t, n)
}

// place checks where the next chunk lies and moves the position behind it.
func (d *decoder) place(off, length int64) error {
	limit := int64(MaxOffset)
	if d.to.Size != nil {
		limit = d.to.Size(d.table[d.volume])
	}
	switch {
	case length <= 0 || off+length > limit:
		return corrupt("chunk of %d bytes at %d of volume %s, which ends at %d", length, off, d.table[d.volume], limit)
	case blockFloor(off) < blockCeil(d.end):
		return corrupt("chunk at %d in a leaf block that was done at %d", off, d.end)
	}
	d.end, d.gapFrom = off+length, off+length
	return nil
}

// view is the old content of volume number v.
func (d *decoder) view(v int) View {
	for len(d.views) < len(d.table) {
		d.views, d.viewed = append(d.views, nil), append(d.viewed, false)
	}
	if !d.viewed[v] {
		d.views[v], d.viewed[v] = d.to.Old(d.table[v]), true
	}
	return d.views[v]
}

// readOld fills p from the old content of volume number v.
func (d *decoder) readOld(v int, p []byte, off int64) error {
	view := d.view(v)
	if view == nil {
		clear(p)
		return nil
	}
	if err := view.ReadAt(p, off); err != nil {
		return fmt.Errorf("old content of volume %s at %d+%d: %w", d.table[v], off, len(p), err)
	}
	return nil
}

// copyOld is readOld for a displaced copy.
func (d *decoder) copyOld(v int, p []byte, off int64) error {
	view := d.view(v)
	if view == nil {
		clear(p)
		return nil
	}
	if err := d.near.read(view, d.table[v], p, off); err != nil {
		return fmt.Errorf("old content of volume %s at %d+%d: %w", d.table[v], off, len(p), err)
	}
	return nil
}

// dataChunk decodes the tokens of a data chunk, at most n, over its old content; t is the first one.
func (d *decoder) dataChunk(c Chunk, t token, n uint64) (used uint64, err error) {
	lo := blockFloor(c.Off)
	hull := blockCeil(c.Off+c.Len) - lo
	if d.touched += hull; d.touched > MaxSegmentBytes {
		return 0, corrupt("segment of more than %d bytes", MaxSegmentBytes)
	}
	at := len(d.old)
	d.old = append(d.old, make([]byte, hull)...)
	if err := d.readOld(d.volume, d.old[at:], lo); err != nil {
		return 0, err
	}
	d.new = append(d.new, d.old[at:]...)
	d.chunks = append(d.chunks, decoded{c, at})
	out := d.new[at+int(c.Off-lo):][:c.Len]
	stream := d.made.total - lo
	for pos := int64(0); ; {
		if t.op == opInner {
			n, err := d.deflated(t, out[pos:], c.Off+pos, stream)
			if err != nil {
				return 0, err
			}
			used += n
		} else if err := d.apply(t, out[pos:], c.Off+pos, stream); err != nil {
			return 0, err
		}
		pos += int64(t.lit + t.copy)
		used++
		if pos == c.Len {
			break
		}
		if t, err = d.frame.next(); err != nil {
			return 0, err
		}
		if t.class != classSame {
			return 0, corrupt("token of class %d within a chunk", t.class)
		}
	}
	if used > n {
		return 0, corrupt("chunk of %d tokens, %d are left", used, n)
	}
	d.made.add(d.new[at:])
	for i := int64(0); i < hull; i += blockSize {
		d.pair(lo+i, leaf.Of(d.old[at+int(i):][:blockSize]), leaf.Of(d.new[at+int(i):][:blockSize]))
	}
	return used, nil
}

// apply writes what token t says to the beginning of out, which holds old content and lies at off, and at off + stream
// in the stream of results.
func (d *decoder) apply(t token, out []byte, off, stream int64) error {
	lit, err := d.frame.literal(t)
	if err != nil {
		return err
	}
	copy(out, lit)
	out, off = out[t.lit:][:t.copy], off+int64(t.lit)
	switch t.op {
	case opNone, opSelf:
		return nil
	case opZero:
		clear(out)
		return nil
	}
	p, err := d.frame.source(t, d.volume)
	if err != nil {
		return err
	}
	if p.volume == made {
		src := off + stream + p.disp
		if !d.made.holds(src, int64(t.copy)) {
			return corrupt("copy of %d bytes of the stream of results at %d, which has %d", t.copy, src, d.made.total)
		}
		return d.made.ReadAt(out, src)
	}
	src := off + p.disp
	if p.volume >= len(d.table) || src < 0 || src > MaxOffset {
		return corrupt("copy of %d bytes from volume %d at %d", t.copy, p.volume, src)
	}
	d.sources = append(d.sources, sourceRange{p.volume, src, int64(t.copy)})
	return d.copyOld(p.volume, out, src)
}

// zeroStep is how much old content is read at a time beneath zeroes, bytes.
const zeroStep = 256 << 10

// zeroChunk notes the leaves beneath a chunk of zeroes. It covers whole leaf blocks, or the volume's last one.
func (d *decoder) zeroChunk(c Chunk) error {
	hull := blockCeil(c.Off+c.Len) - c.Off
	if d.zeroed += hull; c.Off%blockSize != 0 || d.zeroed > MaxSegmentZero {
		return corrupt("zero chunk of %d bytes at %d", c.Len, c.Off)
	}
	c.Zero = true
	d.chunks = append(d.chunks, decoded{chunk: c})
	buf := d.scratch[:0]
	if cap(buf) < zeroStep {
		buf = make([]byte, 0, zeroStep)
	}
	d.scratch = buf
	for done := int64(0); done < hull; {
		p := buf[:min(zeroStep, hull-done)]
		if err := d.readOld(d.volume, p, c.Off+done); err != nil {
			return err
		}
		for i := 0; i < len(p); i += blockSize {
			d.pair(c.Off+done+int64(i), leaf.Of(p[i:i+blockSize]), 0)
		}
		if done += int64(len(p)); done == hull && !leaf.IsZero(p[int64(len(p))-(hull-c.Len):]) {
			return corrupt("zero chunk of %d bytes at %d ends within a block that is not zero", c.Len, c.Off)
		}
	}
	return nil
}

// pair notes the leaves of the block at off.
func (d *decoder) pair(off int64, before, after leaf.Leaf) {
	d.base = binary.LittleEndian.AppendUint64(d.base, uint64(before))
	d.after = binary.LittleEndian.AppendUint64(d.after, uint64(after))
	d.leaves = append(d.leaves, leafPair{uint64(off / blockSize), before, after})
}

// check compares the digests of the segment with those that its encoder had.
func (d *decoder) check(want []byte) error {
	if got, want := xxh3.Hash(d.base), binary.LittleEndian.Uint64(want); got != want && len(d.chunks) > 0 {
		first, last := d.chunks[0].chunk, d.chunks[len(d.chunks)-1].chunk
		return &BaseMismatchError{d.table[d.volume], first.Off, last.Off + last.Len - first.Off}
	}
	if got, want := xxh3.Hash(d.after), binary.LittleEndian.Uint64(want[digestBytes:]); got != want {
		if len(d.sources) > 0 {
			return d.sourceMismatch()
		}
		return corrupt("result digest of volume %s is %016x, want %016x", d.table[d.volume], got, want)
	}
	return nil
}

// sourceMismatch blames the hull of the sources within the volume of the first one.
func (d *decoder) sourceMismatch() error {
	s := d.sources[0]
	lo, hi := s.off, s.off+s.len
	for _, o := range d.sources {
		if o.volume == s.volume {
			lo, hi = min(lo, o.off), max(hi, o.off+o.len)
		}
	}
	return &BaseMismatchError{d.table[s.volume], lo, hi - lo}
}

// emit hands out the chunks of a checked segment.
func (d *decoder) emit() error {
	if d.to.Leaf != nil {
		for _, l := range d.leaves {
			if err := d.to.Leaf(d.table[d.volume], l.index, l.before, l.after); err != nil {
				return err
			}
		}
	}
	for i := range d.chunks {
		c := d.chunks[i].chunk
		if !c.Zero {
			c.Data = d.new[d.chunks[i].at+int(c.Off%blockSize):][:c.Len:c.Len]
		}
		if err := d.to.Emit(c); err != nil {
			return err
		}
	}
	return nil
}
