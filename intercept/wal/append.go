package wal

import (
	"fmt"
	"time"

	"github.com/weirstor/weir/intercept/ident"
)

// Batch is records on their way into the log. It may be used again after Complete; it is used by one goroutine.
type Batch struct {
	// Records to append, set by the caller; Reserve sets Seq, Synced and Pos of each. Payloads stay the caller's and
	// are not changed until Complete has returned.
	Records []Record
	// Control batches may use the reserve that is kept for them in a full log.
	Control bool
	// OnReserve, if not nil, runs at the moment that fixes the order, under the log's lock: what it changes is changed
	// for every later record and for no earlier one. It must be short and must not call the log. A context other than
	// nil becomes that of every later batch.
	OnReserve func(b *Batch) (context any)

	// Context is the log's context at the moment of Reserve.
	Context any
	// Since is what was reserved since that context was set, this batch included.
	Since Usage
	// End is where the record after the batch may begin at the earliest.
	End Pos

	seg     *segment
	off     int64 // in seg
	ticket  uint64
	closing *segment // ends with the end record, which this batch writes
	endRec  Record
	endOff  int64

	prefix []byte   // headers and checksums of all records
	bufs   [][]byte // what the vectored write takes
	wake   chan struct{}
}

// First is the lowest sequence of the batch's records, Last the highest.
func (b *Batch) First() ident.Seq { return b.Records[0].Seq }
func (b *Batch) Last() ident.Seq  { return b.Records[len(b.Records)-1].Seq }

// Bytes is the room that the records of the batch take.
func (b *Batch) Bytes() int64 {
	var n int64
	for i := range b.Records {
		n += RecordBytes(int64(len(b.Records[i].Payload)))
	}
	return n
}

// BatchBytesMax is the longest batch that a log with these segments takes.
func BatchBytesMax(segmentBytes int64) int64 {
	return segmentBytes - 2*PageBytes - reserveBytes(segmentBytes)
}

// reserveBytes is what only control records may use of the last segment of a full log.
func reserveBytes(segmentBytes int64) int64 { return min(1<<20, align(segmentBytes/8, PageBytes)) }

// Reserve gives the records of b their place in the order and their room in the log. It waits while the log is full,
// at most Options.SpaceWait (then ErrFull), and while the log is held, and fails with the latched failure. After success Write and Complete must
// follow.
func (l *Log) Reserve(b *Batch) error {
	need := b.Bytes()
	if need > BatchBytesMax(l.opt.SegmentBytes) {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, need, BatchBytesMax(l.opt.SegmentBytes))
	}
	if b.wake == nil {
		b.wake = make(chan struct{}, 1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.roomLocked(need, b.Control); err != nil {
		return err
	}
	start := l.startLocked()
	if start+need > l.mu.cur.dataEnd() {
		l.rollLocked(b, start)
		start = PageBytes
	}
	l.placeLocked(b, start)
	b.Context = l.mu.context
	if l.mu.since.Records == 0 {
		l.mu.since.Began = time.Now()
	}
	l.mu.since.Records += int64(len(b.Records))
	l.mu.since.Bytes += need
	b.Since = l.mu.since
	if b.OnReserve != nil {
		if c := b.OnReserve(b); c != nil {
			l.mu.context, l.mu.since = c, Usage{}
		}
	}
	return nil
}

// startLocked is where a batch reserved now begins: behind the last record or, while other batches are in flight, on a
// page of its own.
func (l *Log) startLocked() int64 {
	if l.mu.head == l.mu.next {
		return l.mu.off
	}
	return align(l.mu.off, PageBytes)
}

// roomLocked returns when need bytes can be reserved, in this segment or in one that is ready. A log that has been full
// for longer than SpaceWait makes nobody wait that long again: only until it was tried once more to find room.
func (l *Log) roomLocked(need int64, control bool) error {
	var deadline <-chan time.Time
	for {
		if err := l.Err(); err != nil {
			return err
		}
		limit := l.mu.cur.dataEnd()
		if !control && len(l.mu.ready) == 0 && l.exhaustedLocked() {
			limit -= reserveBytes(l.opt.SegmentBytes)
		}
		if l.mu.held && !control {
			l.waitHeldLocked()
			continue
		}
		switch {
		case l.mu.next-l.mu.head >= maxInFlight: // wait
		case l.startLocked()+need <= limit, len(l.mu.ready) > 0:
			if !control {
				l.mu.full = time.Time{}
			}
			return nil
		}
		if deadline == nil {
			if l.mu.full.IsZero() {
				l.mu.full = time.Now()
			}
			t := time.NewTimer(max(l.opt.SpaceWait-time.Since(l.mu.full), min(2*l.opt.Retry, l.opt.SpaceWait)))
			defer t.Stop()
			deadline = t.C
		}
		if !l.waitLocked(deadline) {
			used := int64(len(*l.live.Load())) * l.opt.SegmentBytes
			err := fmt.Errorf("%w: %d bytes wanted, %d used of %d", ErrFull, need, used, int64(l.opt.SegmentsMax)*l.opt.SegmentBytes)
			if l.mu.reason != nil {
				err = fmt.Errorf("%w: %w", err, l.mu.reason)
			}
			return err
		}
	}
}

// waitLocked waits for a change; false when the deadline came first.
func (l *Log) waitLocked(deadline <-chan time.Time) bool {
	changed := l.mu.changed
	signal(l.kick)
	l.mu.Unlock()
	if l.opt.OnFull != nil {
		l.opt.OnFull()
	}
	defer l.mu.Lock()
	select {
	case <-changed:
		return true
	case <-deadline:
		return false
	}
}

// exhaustedLocked reports whether no further segment can be had unless one is freed.
func (l *Log) exhaustedLocked() bool {
	return len(l.mu.free) == 0 && (l.mu.files >= l.opt.SegmentsMax || l.mu.noSpace)
}

// rollLocked ends the current segment at off and begins the first that is ready.
func (l *Log) rollLocked(b *Batch, off int64) {
	next := l.mu.ready[0]
	l.mu.ready = l.mu.ready[1:]
	b.closing, b.endOff = l.mu.cur, off
	b.endRec = Record{Kind: KindEnd, Aux: next.Number, Aux2: next.Incarnation, Seq: l.mu.nextSeq, Synced: l.Synced()}
	l.mu.cur.last = l.mu.nextSeq
	l.mu.nextSeq++
	now := time.Now()
	l.mu.filled, l.mu.rolled = now.Sub(l.mu.rolled), now
	l.beginLocked(next)
	signal(l.kick)
}

// beginLocked makes s the segment that is appended to.
func (l *Log) beginLocked(s *segment) {
	live := append([]*segment(nil), *l.live.Load()...)
	live = append(live, s)
	l.live.Store(&live)
	l.sync.Lock()
	l.sync.dirty = append(l.sync.dirty, s)
	l.sync.Unlock()
	l.mu.cur, l.mu.off = s, PageBytes
}

// placeLocked gives b its sequences and positions, and a ticket.
func (l *Log) placeLocked(b *Batch, start int64) {
	b.seg, b.off = l.mu.cur, start
	synced := l.Synced()
	for i := range b.Records {
		r := &b.Records[i]
		r.Seq, r.Synced, r.Pos = l.mu.nextSeq, synced, b.seg.pos(start)
		l.mu.nextSeq++
		start += RecordBytes(int64(len(r.Payload)))
	}
	b.seg.last = l.mu.nextSeq - 1
	l.mu.off = start
	b.End = b.seg.pos(start)
	b.ticket = l.mu.next
	l.mu.next++
	l.mu.flight[b.ticket%maxInFlight] = slot{last: b.seg.last, wake: b.wake}
}

// Write copies the records of b to the log's page cache. A failure latches the log. Complete must follow, whatever
// Write returns.
func (l *Log) Write(b *Batch) error {
	if b.closing != nil {
		b.prefix = appendPrefix(b.prefix[:0], &b.endRec, b.closing.seed)
		err := l.writePages(b, b.closing, b.endOff)
		b.closing = nil
		if err != nil {
			return l.fail(err)
		}
	}
	b.prefix = b.prefix[:0]
	for i := range b.Records {
		b.prefix = appendPrefix(b.prefix, &b.Records[i], b.seg.seed)
	}
	b.bufs = b.bufs[:0]
	rest := b.prefix
	for i := range b.Records {
		p := b.Records[i].Payload
		n := prefixBytes(int64(len(p)))
		b.bufs = append(b.bufs, rest[:n])
		rest = rest[n:]
		if len(p) > 0 {
			b.bufs = append(b.bufs, p, zeroPage[:align(int64(len(p)), recordAlign)-int64(len(p))])
		}
	}
	if err := l.writeBufs(b, b.seg, b.off); err != nil {
		return l.fail(err)
	}
	return nil
}

// zeroPage is never written to.
var zeroPage [PageBytes]byte

// writePages writes b.prefix at off of s.
func (l *Log) writePages(b *Batch, s *segment, off int64) error {
	b.bufs = append(b.bufs[:0], b.prefix)
	return l.writeBufs(b, s, off)
}

// writeBufs writes b.bufs at off of s, and zeroes up to the end of the last page.
func (l *Log) writeBufs(b *Batch, s *segment, off int64) error {
	var n int64
	for _, p := range b.bufs {
		n += int64(len(p))
	}
	if pad := align(off+n, PageBytes) - (off + n); pad > 0 {
		b.bufs = append(b.bufs, zeroPage[:pad])
	}
	err := s.file.WritevAt(b.bufs, off)
	clear(b.bufs)
	return err
}

// Complete says that Write has returned and that readers find the records; it returns when every earlier record is
// completely written too, which makes b safe against the death of the process. It fails with the latched failure.
func (l *Log) Complete(b *Batch) error {
	l.mu.Lock()
	l.mu.flight[b.ticket%maxInFlight].done = true
	full := l.mu.next-l.mu.head >= maxInFlight
	if l.Err() == nil && b.ticket == l.mu.head {
		l.advanceLocked()
		if full {
			l.changedLocked()
		}
	}
	passed := l.mu.head > b.ticket
	l.mu.Unlock()
	for !passed {
		if err := l.Err(); err != nil {
			return err
		}
		<-b.wake
		passed = l.Watermark() >= b.Last()
	}
	select {
	case <-b.wake: // a signal of advanceLocked or of the latch that was not waited for
	default:
	}
	return l.Err()
}

// advanceLocked moves the watermark over all batches that are complete and wakes those who wait for it.
func (l *Log) advanceLocked() {
	for l.mu.head < l.mu.next {
		s := &l.mu.flight[l.mu.head%maxInFlight]
		if !s.done {
			return
		}
		l.watermark.Store(uint64(s.last))
		l.mu.head++
		signal(s.wake)
	}
}

// Sync returns when every record up to seq, which the watermark has passed, is on stable storage. One fdatasync
// serves all who wait. A failure latches the log.
func (l *Log) Sync(seq ident.Seq) error {
	l.sync.Lock()
	defer l.sync.Unlock()
	for l.Synced() < seq {
		if err := l.Err(); err != nil {
			return err
		}
		if l.sync.running {
			l.sync.cond.Wait()
			continue
		}
		l.sync.running = true
		err := l.syncRound()
		l.sync.running = false
		l.sync.cond.Broadcast()
		if err != nil {
			l.sync.Unlock()
			err = l.fail(err)
			l.sync.Lock()
			return err
		}
	}
	return l.Err()
}

// syncRound syncs every segment that may need it; called with sync locked, which it gives up meanwhile.
func (l *Log) syncRound() error {
	reached := l.Watermark()
	segs := append(l.sync.round[:0], l.sync.dirty...)
	l.sync.round = segs
	l.sync.Unlock()
	defer l.sync.Lock()
	for _, s := range segs {
		if err := s.file.Datasync(); err != nil {
			return err
		}
	}
	l.settle(segs, reached)
	return nil
}

// settle records that segs were synced when the watermark was at reached.
func (l *Log) settle(segs []*segment, reached ident.Seq) {
	l.mu.Lock()
	full := 0 // segments at the front that are ended and wholly synced
	for full < len(segs) && segs[full] != l.mu.cur && segs[full].last <= reached {
		full++
	}
	l.mu.Unlock()
	l.sync.Lock()
	l.sync.dirty = l.sync.dirty[full:]
	l.synced.Store(uint64(max(reached, l.Synced())))
	l.sync.Unlock()
}
