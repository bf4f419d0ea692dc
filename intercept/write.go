package intercept

import (
	"errors"
	"fmt"
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/wal"
	"github.com/weirstor/weir/target"
)

const (
	// recordBytesMax is the longest write that is one record, so one step of the group's order; a longer write is
	// several, and a crash may keep a prefix of them.
	recordBytesMax = 4 << 20
	batchRecords   = 256  // records of one batch at most
	zeroRecordMin  = 4096 // bytes; an all-zero write from here on is logged without its payload
)

// writer is the scratch of one call that writes.
type writer struct {
	batch wal.Batch
	one   [1]target.WriteOp
	ops   []*target.WriteOp // the op of each record of the batch
	bytes int64
	fua   bool
}

var writerPool = sync.Pool{New: func() any { return new(writer) }}

func (w *writer) reset() {
	clear(w.batch.Records)
	clear(w.ops)
	w.batch.Records, w.ops = w.batch.Records[:0], w.ops[:0]
	w.bytes, w.fua = 0, false
}

// done gives w back, without what it refers to.
func (w *writer) done() {
	w.reset()
	w.one[0] = target.WriteOp{}
	w.batch.Context = nil
	writerPool.Put(w)
}

// write stores ops of v as WriteBatch says.
func (w *writer) write(v *Volume, ops []target.WriteOp) {
	for i := range ops {
		op := &ops[i]
		if op.Err = v.checkWrite(op.Off, int64(len(op.Data))); op.Err == nil {
			w.add(v, op)
		}
	}
	w.submit(v)
}

// add puts the records of op into the batch, and submits the batch whenever it is full.
func (w *writer) add(v *Volume, op *target.WriteOp) {
	piece := v.group.recordMax
	for at := int64(0); at < int64(len(op.Data)); {
		n := min(int64(len(op.Data))-at, piece)
		data := op.Data[at : at+n]
		rec := wal.Record{Kind: wal.KindWrite, Volume: v.number, Off: op.Off + at, Len: n, Payload: data}
		tag := v.tagger.Tag(data, rec.Off)
		if tag.Class() == classify.ZeroBlock && n >= zeroRecordMin && leaf.IsZero(data) {
			rec.Kind, rec.Payload = wal.KindZero, nil
		}
		rec.Tag = uint8(tag)
		v.stats.wrote(tag, n)
		w.append(v, rec, op, op.FUA)
		at += n
	}
}

// append puts rec, which belongs to op, into the batch.
func (w *writer) append(v *Volume, rec wal.Record, op *target.WriteOp, fua bool) {
	room := wal.RecordBytes(int64(len(rec.Payload)))
	if len(w.ops) >= batchRecords || w.bytes+room > v.group.batchMax {
		w.submit(v)
	}
	w.batch.Records = append(w.batch.Records, rec)
	w.ops = append(w.ops, op)
	w.bytes += room
	w.fua = w.fua || fua
}

// submit logs the batch and sets the error of the ops that it belongs to.
func (w *writer) submit(v *Volume) {
	if len(w.ops) == 0 {
		return
	}
	if err := w.log(v); err != nil {
		err = v.group.deviceError(err)
		for _, op := range w.ops {
			op.Err = err
		}
	}
	w.reset()
}

// log takes the batch through the log: order, content, map, acknowledgement.
func (w *writer) log(v *Volume) error {
	g, b := v.group, &w.batch
	if g.throttle.on.Load() {
		g.slow(w.bytes)
	}
	if err := g.log.Reserve(b); err != nil {
		return err
	}
	err := g.log.Write(b)
	if err == nil {
		insert(b.Context.(*layer), v.number, b.Records)
	}
	if b.Since.Bytes >= g.opt.EpochBytes {
		g.sealSoon()
	}
	if cerr := g.log.Complete(b); err == nil {
		err = cerr
	}
	if err == nil && w.fua {
		if err = g.log.Sync(b.Last()); err == nil {
			err = g.awaitCommit(b.Last())
		}
	}
	return err
}

// insert makes readers of l find the records of one volume.
func insert(l *layer, number uint32, recs []wal.Record) {
	v := l.writable(number)
	m := v.active.Load()
	var host int64
	for i := range recs {
		r := &recs[i]
		m.Insert(extent.Entry{Pos: r.Pos, Payload: uint32(len(r.Payload)), Tag: r.Tag}, r.Off, r.Len)
		host += r.Len
	}
	v.hostBytes.Add(host)
}

// zero logs that [off, off+n) reads as zeroes.
func (v *Volume) zero(off, n int64, flags wal.Flags, fua bool) error {
	if err := v.checkWrite(off, n); err != nil || n == 0 {
		return err
	}
	w := writerPool.Get().(*writer)
	defer w.done()
	tag := v.tagger.TagZero(off, n)
	w.append(v, wal.Record{Kind: wal.KindZero, Flags: flags, Tag: uint8(tag), Volume: v.number, Off: off, Len: n},
		&w.one[0], fua)
	w.submit(v)
	return w.one[0].Err
}

// deviceError turns an error of the log into one of those that a Device returns.
func (g *Group) deviceError(err error) error {
	switch {
	case errors.Is(err, wal.ErrFull):
		return fmt.Errorf("%w: %w", target.ErrNoSpace, err)
	case errors.Is(err, wal.ErrClosed):
		return fmt.Errorf("%w: %w", target.ErrClosed, err)
	case errors.Is(err, target.ErrFenced), errors.Is(err, target.ErrClosed):
		return err
	}
	return fmt.Errorf("%w: %w", target.ErrIO, err)
}
