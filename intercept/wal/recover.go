package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// DamageError is damage in what had been made durable: the group does not open.
type DamageError struct {
	Path   string    // of the file
	Off    int64     // bytes, where in the file
	Seq    ident.Seq // the record that is damaged or missing; 0 when it is not a record
	Synced ident.Seq // a sequence that is known to have been durable
	Err    error     // what was found
}

func (e *DamageError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("%s is damaged at %d: %v", e.Path, e.Off, e.Err)
	}
	return fmt.Sprintf("%s is damaged at %d: record %d, which was on stable storage (as everything up to %d): %v",
		e.Path, e.Off, e.Seq, e.Synced, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// Cut says where a recovery ended the log and where the log goes on.
type Cut struct {
	Segment uint64    // the segment that was ended
	End     int64     // offset in it of the first byte that is not part of the log any more
	Next    uint64    // the segment in which the log goes on
	Seq     ident.Seq // the first sequence there
}

// Start says where the log that matters begins; the owner keeps it durable.
type Start struct {
	Pos    Pos       // the first record
	Seq    ident.Seq // its sequence
	Synced ident.Seq // a sequence that was durable when Start was written
	Cuts   []Cut     // of the segments from Pos on
}

// Recovered is what Recover found.
type Recovered struct {
	Cuts    []Cut // must be durable before Begin
	Records int64 // read
	Bytes   int64 // of segments read
	Dropped int64 // records behind the end, whole or not: none of them was promised to survive
}

// Create makes the first segment of a new log in opt.Dir. Begin must follow once the owner has made start durable.
func Create(opt Options) (l *Log, start Start, err error) { return CreateFrom(opt, 1) }

// CreateFrom is Create for a log whose first record has a given sequence, above 0.
func CreateFrom(opt Options, first ident.Seq) (l *Log, start Start, err error) {
	l = newLog(opt)
	l.mu.lastNumber = 1
	l.mu.files, l.mu.nextName = 1, 1
	s, err := l.makeReady(&freeFile{name: segmentName(opt.Dir, 0)}, 1)
	if err != nil {
		return nil, Start{}, err
	}
	l.mu.nextSeq = first
	l.watermark.Store(uint64(first - 1))
	l.synced.Store(uint64(first - 1))
	l.beginLocked(s)
	return l, Start{Pos: s.pos(PageBytes), Seq: first, Synced: first - 1}, nil
}

// Begin starts the log's goroutine; until then nothing may be reserved. context is that of the first batches, since
// what was recovered in it.
func (l *Log) Begin(context any, since Usage) {
	l.mu.Lock()
	l.mu.context, l.mu.since = context, since
	l.mu.Unlock()
	l.preparer.Add(1)
	go l.prepare()
	signal(l.kick)
}

// Recover opens the log in opt.Dir, calls fn for every record from start on in order (payloads are valid during the
// call only), and ends the log behind the last one. When it returns, everything that fn has seen is durable, and a new
// segment is ready; Begin must follow once the owner has made Recovered.Cuts durable. Damage is a *DamageError.
func Recover(opt Options, start Start, fn func(*Record) error) (*Log, Recovered, error) {
	l := newLog(opt)
	r := &recovery{log: l, start: start, fn: fn, seq: start.Seq, synced: max(start.Synced, start.Seq-1)}
	err := r.openFiles()
	if err == nil {
		err = r.replay()
	}
	if err == nil {
		err = r.goOn()
	}
	if err != nil {
		for _, f := range r.files {
			f.file.Close()
		}
		return nil, Recovered{}, err
	}
	return l, r.found, nil
}

// recovery is the state of one Recover.
type recovery struct {
	log   *Log
	start Start
	fn    func(*Record) error
	files []*segment // every file of the log; Number 0: no valid header
	chain []*segment // in the log's order

	buf    []byte    // the segment being read
	ahead  ahead     // the one that most likely follows
	seq    ident.Seq // expected next
	end    int64     // offset behind the last good record of the last of chain
	synced ident.Seq // known to have been durable
	found  Recovered
}

// openFiles opens every segment file and reads its header from the disk.
func (r *recovery) openFiles() error {
	opt := r.log.opt
	names, err := opt.FS.List(opt.Dir)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	slices.Sort(names)
	page := vfs.AlignedBuffer(PageBytes)
	numbers := make(map[uint64]string)
	for _, name := range names {
		var index int
		if n, _ := fmt.Sscanf(name, "log-%d.seg", &index); n != 1 || !strings.HasSuffix(name, ".seg") {
			continue
		}
		r.log.mu.nextName = max(r.log.mu.nextName, index+1)
		s, err := r.openFile(filepath.Join(opt.Dir, name), page)
		if err != nil {
			return err
		}
		r.files = append(r.files, s)
		if other, twice := numbers[s.Number]; twice && s.Number != 0 {
			return &DamageError{Path: s.name, Err: fmt.Errorf("segment %d is also in %s", s.Number, other)}
		}
		numbers[s.Number] = s.name
		r.log.mu.lastNumber = max(r.log.mu.lastNumber, s.Number)
	}
	r.log.mu.files = len(r.files)
	return nil
}

// openFile opens one segment file. One whose header is not valid is free, unless the log needs it; that is found later.
func (r *recovery) openFile(name string, page []byte) (*segment, error) {
	f, err := r.log.opt.FS.Open(name)
	if err != nil {
		return nil, fmt.Errorf("write log: %w", err)
	}
	s := &segment{file: f, name: name}
	clear(page)
	if err := r.readDirect(s, page); err != nil {
		f.Close()
		return nil, err
	}
	h, err := DecodeHeader(page)
	switch {
	case errors.Is(err, ErrVersion):
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	case err == nil && h.Group == r.log.opt.Group && h.Bytes == r.log.opt.SegmentBytes:
		s.Header, s.seed = h, seedOf(h.Incarnation)
	}
	return s, nil
}

// readDirect fills p from the start of s, past the page cache; what the file does not have reads as zeroes.
func (r *recovery) readDirect(s *segment, p []byte) error {
	f, err := r.log.opt.FS.OpenDirect(s.name)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	defer f.Close()
	n := 0
	for n < len(p) {
		m, err := f.ReadAt(p[n:], int64(n))
		n += m
		if m == 0 || err != nil {
			break
		}
	}
	clear(p[n:])
	size, err := f.Size()
	if err == nil && int64(n) < min(size, int64(len(p))) {
		err = fmt.Errorf("read %s: %d bytes of %d", s.name, n, len(p))
	}
	return err
}

// replay reads the log from its start to its end.
func (r *recovery) replay() error {
	number := r.log.Segment(r.start.Pos)
	off := int64(uint64(r.start.Pos) % uint64(r.log.opt.SegmentBytes))
	var link *Record // the end record that led here
	defer r.ahead.wait()
	for {
		s := r.segment(number)
		if s == nil || link != nil && s.Incarnation != link.Aux2 {
			return &DamageError{Path: filepath.Join(r.log.opt.Dir, "log-*.seg"), Seq: r.seq, Synced: r.synced,
				Err: fmt.Errorf("segment %d is missing", number)}
		}
		if err := r.load(s); err != nil {
			return err
		}
		r.found.Bytes += s.Bytes
		r.chain = append(r.chain, s)
		r.end = off
		next, err := r.replaySegment(s)
		switch {
		case err != nil:
			return err
		case next != nil && next.Kind == KindEnd:
			number, link = next.Aux, next
		case r.cut(s.Number) != nil:
			number, link = r.cut(s.Number).Next, nil
		default:
			return nil
		}
		off = PageBytes
	}
}

// ahead is a segment that is being read while the one before is replayed.
type ahead struct {
	seg  *segment // nil: none
	buf  []byte
	done chan error
}

// wait returns the outcome of the read that is under way; nil without one.
func (a *ahead) wait() error {
	if a.seg == nil {
		return nil
	}
	a.seg = nil
	return <-a.done
}

// load makes buf hold s, and begins to read the segment with the next number, which most likely follows.
func (r *recovery) load(s *segment) error {
	expected := r.ahead.seg == s
	err := r.ahead.wait()
	if expected {
		r.buf, r.ahead.buf = r.ahead.buf, r.buf
	} else {
		if r.buf == nil {
			r.buf = vfs.AlignedBuffer(int(s.Bytes))
		}
		err = r.readDirect(s, r.buf)
	}
	if err != nil {
		return err
	}
	if next := r.segment(s.Number + 1); next != nil {
		if r.ahead.buf == nil {
			r.ahead.buf = vfs.AlignedBuffer(int(s.Bytes))
		}
		done := make(chan error, 1)
		buf := r.ahead.buf
		r.ahead.seg, r.ahead.done = next, done
		go func() { done <- r.readDirect(next, buf) }()
	}
	return nil
}

func (r *recovery) segment(number uint64) *segment {
	for _, s := range r.files {
		if s.Number == number && number != 0 {
			return s
		}
	}
	return nil
}

func (r *recovery) cut(number uint64) *Cut {
	for i := range r.start.Cuts {
		if r.start.Cuts[i].Segment == number {
			return &r.start.Cuts[i]
		}
	}
	return nil
}

// replaySegment reads s, which is in buf, from r.end on. It returns the end record of s, if it has one; without one
// and without a cut the log ends at r.end.
func (r *recovery) replaySegment(s *segment) (*Record, error) {
	limit := s.Bytes
	cut := r.cut(s.Number)
	if cut != nil {
		limit = cut.End
	}
	for off := r.end; ; {
		if cut != nil && off >= limit {
			if cut.Seq != r.seq {
				return nil, r.damage(s, off, fmt.Errorf("the log was ended before record %d", cut.Seq))
			}
			return nil, nil
		}
		rec, total, err := decodeRecord(r.buf[off:limit], s.seed)
		if errors.Is(err, errNoRecord) && off%PageBytes != 0 {
			off = align(off, PageBytes)
			continue
		}
		if err == nil && rec.Seq != r.seq {
			err = fmt.Errorf("%w: record %d stands here", errNoRecord, rec.Seq)
		}
		if err != nil {
			return nil, r.endOrDamage(s, off, cut, err)
		}
		rec.Pos = s.pos(off)
		r.synced = max(r.synced, rec.Synced)
		if rec.Kind != KindEnd {
			if err := r.fn(&rec); err != nil {
				return nil, err
			}
		}
		s.last = r.seq
		r.seq++
		r.found.Records++
		off += total
		r.end = off
		if rec.Kind == KindEnd {
			return &rec, nil
		}
	}
}

func (r *recovery) damage(s *segment, off int64, err error) error {
	return &DamageError{Path: s.name, Off: off, Seq: r.seq, Synced: r.synced, Err: err}
}

// endOrDamage decides what a bad record at off of s means: nil is the end of the log. It is damage when anything
// behind it says that it had been synced.
func (r *recovery) endOrDamage(s *segment, off int64, cut *Cut, bad error) error {
	if cut != nil {
		return r.damage(s, off, bad)
	}
	r.evidence(s, r.buf[off:])
	for _, later := range r.files {
		if later.Number <= s.Number {
			continue
		}
		r.synced = max(r.synced, later.Synced)
		b := vfs.AlignedBuffer(int(later.Bytes))
		if err := r.readDirect(later, b); err != nil {
			return err
		}
		r.evidence(later, b[PageBytes:])
	}
	if r.synced >= r.seq {
		return r.damage(s, off, bad)
	}
	return nil
}

// evidenceSpan is how far behind the end of the log a record is looked for, in sequences.
const evidenceSpan = 1 << 32

// evidence looks for records of s anywhere in b and notes what they say was synced.
func (r *recovery) evidence(s *segment, b []byte) {
	for off := int64(0); off+HeaderBytes <= int64(len(b)); {
		kind, seq := Kind(b[off+offKind]), binary.LittleEndian.Uint64(b[off+offSeq:])
		if kind == 0 || kind > KindEnd || seq-uint64(r.seq) > evidenceSpan {
			off += recordAlign
			continue
		}
		rec, total, err := decodeHeader(b[off:], s.seed)
		if err != nil {
			off += recordAlign
			continue
		}
		r.synced = max(r.synced, rec.Synced)
		r.found.Dropped++
		off += total
	}
}

// goOn makes what was read durable and a new segment ready, and composes the cuts.
func (r *recovery) goOn() error {
	l := r.log
	for _, s := range r.chain {
		if err := s.file.Datasync(); err != nil {
			return fmt.Errorf("syncing what was recovered: %w", err)
		}
	}
	// A file that the last run made may not have a durable name yet, and is about to be used.
	if err := l.opt.FS.SyncDir(l.opt.Dir); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	last := r.chain[len(r.chain)-1]
	empty := r.end == PageBytes && len(r.chain) > 1 && r.cut(r.chain[len(r.chain)-2].Number) != nil
	for _, f := range r.files {
		if !slices.Contains(r.chain, f) {
			l.mu.free = append(l.mu.free, freeFile{file: f.file, name: f.name})
		}
	}
	l.mu.nextSeq = r.seq
	l.watermark.Store(uint64(r.seq - 1))
	l.synced.Store(uint64(r.seq - 1))
	next, err := r.nextSegment()
	if err != nil {
		return err
	}
	if empty {
		// The last segment holds nothing, so the cut that leads to it can lead to the next one instead. Until that is
		// durable it must stay what it is: hence it is free only now.
		r.chain = r.chain[:len(r.chain)-1]
		l.mu.free = append(l.mu.free, freeFile{file: last.file, name: last.name})
	}
	chain := slices.Clone(r.chain)
	l.live.Store(&chain)
	for _, s := range r.chain[:len(r.chain)-1] {
		if c := r.cut(s.Number); c != nil {
			r.found.Cuts = append(r.found.Cuts, *c)
		}
	}
	if empty {
		c := *r.cut(r.chain[len(r.chain)-1].Number)
		c.Next = next.Number
		r.found.Cuts = append(r.found.Cuts, c)
	} else {
		r.found.Cuts = append(r.found.Cuts, Cut{Segment: last.Number, End: r.end, Next: next.Number, Seq: r.seq})
	}
	l.beginLocked(next)
	return nil
}

// nextSegment makes the segment ready in which the log goes on. It may exceed the budget by one file.
func (r *recovery) nextSegment() (*segment, error) {
	l := r.log
	var f freeFile
	if n := len(l.mu.free); n > 0 {
		f, l.mu.free = l.mu.free[n-1], l.mu.free[:n-1]
	} else {
		f.name = segmentName(l.opt.Dir, l.mu.nextName)
		l.mu.nextName++
		l.mu.files++
	}
	l.mu.lastNumber++
	return l.makeReady(&f, l.mu.lastNumber)
}
