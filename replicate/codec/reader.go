package codec

import (
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
)

// frameReader takes a frame's columns apart, token by token.
type frameReader struct {
	cols     columns
	segments uint64
	recent   recent
}

// token is one token, taken apart.
type token struct {
	op    uint8
	class uint8 // classSame, classInner: no chunk begins here
	raw   bool
	lit   uint64
	copy  uint64
}

// open reads the head and the columns of the payload of a frame of a type, and adds the volumes that it names to table.
func (r *frameReader) open(payload []byte, frameType uint8, table []ident.VolumeID, scratch []byte) ([]ident.VolumeID, []byte, error) {
	n, b, err := takeUvarint(payload)
	if err != nil {
		return table, scratch, err
	}
	if n > MaxVolumes || len(table)+int(n) > MaxVolumes {
		return table, scratch, corrupt("more than %d volumes", MaxVolumes)
	}
	ids, b, err := take(b, n*16)
	if err != nil {
		return table, scratch, fmt.Errorf("volume table: %w", err)
	}
	for ; len(ids) > 0; ids = ids[16:] {
		table = append(table, ident.VolumeID{UUID: ident.UUID(ids[:16])})
	}
	if r.segments, b, err = takeUvarint(b); err != nil {
		return table, scratch, err
	}
	r.recent = recent{}
	b, scratch, err = r.cols.parse(b, frameType, scratch)
	if err == nil && len(b) > 0 {
		err = corrupt("%d bytes behind the columns", len(b))
	}
	return table, scratch, err
}

// uvarint takes a varint off column i.
func (r *frameReader) uvarint(i int) (v uint64, err error) {
	if c := r.cols[i]; len(c) > 0 && c[0] < 0x80 {
		r.cols[i] = c[1:]
		return uint64(c[0]), nil
	}
	v, r.cols[i], err = takeUvarint(r.cols[i])
	return v, err
}

// next takes one token.
func (r *frameReader) next() (t token, err error) {
	c := r.cols[colControl]
	if len(c) == 0 {
		return t, corrupt("no token is left")
	}
	ctl := c[0]
	r.cols[colControl] = c[1:]
	t = token{op: ctl & opMask, class: ctl >> classShift, raw: ctl&flagRaw != 0}
	if t.op >= numOps || t.class >= classify.NumClasses && t.class != classSame && t.class != classInner {
		return t, corrupt("control byte %#02x", ctl)
	}
	if t.lit, err = r.uvarint(colLiterals); err == nil && t.op != opNone {
		t.copy, err = r.uvarint(colCopies)
	}
	if err == nil && (t.lit > MaxColumnBytes || t.copy > MaxSegmentZero || t.lit+t.copy == 0) {
		err = corrupt("token of %d and %d bytes", t.lit, t.copy)
	}
	return t, err
}

// literal takes the bytes of t's literal.
func (r *frameReader) literal(t token) (b []byte, err error) {
	col := colData
	if t.raw {
		col = colRaw
	}
	b, r.cols[col], err = take(r.cols[col], t.lit)
	return b, err
}

// source is the place that a displaced copy of t, within volume, comes from.
func (r *frameReader) source(t token, volume int) (place, error) {
	if t.op >= opLast && t.op <= opLast3 {
		r.recent.use(int(t.op - opLast))
		return r.recent[0], nil
	}
	p := place{volume: volume}
	if t.op == opOther {
		n, err := r.uvarint(colSources)
		if err != nil || n >= MaxVolumes {
			return p, corrupt("copy from volume %d", n)
		}
		p.volume = int(n)
	}
	u, err := r.uvarint(colSources)
	if err != nil {
		return p, err
	}
	if t.op == opMade {
		p = place{made, -int64(min(u, MaxOffset))}
		r.recent.push(p)
		return p, nil
	}
	p.disp = unzigzag(u)
	if t.op == opPage {
		p.disp *= blockSize
	}
	if t.op != opOther && r.recent[0].volume == volume {
		p.disp += r.recent[0].disp
	}
	r.recent.push(p)
	return p, nil
}

// span is the length of the chunk that begins with the next token of at most n: the sum of its tokens.
func (r *frameReader) span(n uint64) (length int64, err error) {
	ahead := *r // the columns are slices: taking from the copy leaves r as it is
	for i := range n {
		t, err := ahead.next()
		if err != nil {
			return 0, err
		}
		if t.class == classInner {
			continue
		}
		if i > 0 && t.class != classSame {
			break
		}
		length += int64(t.lit + t.copy)
		if length > MaxSegmentZero {
			return 0, corrupt("chunk of more than %d bytes", MaxSegmentZero)
		}
	}
	return length, nil
}
