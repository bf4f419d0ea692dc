package wal

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// Errors of the log.
var (
	// ErrFull: no segment came free within Options.SpaceWait.
	ErrFull = errors.New("write log is full")
	// ErrClosed: Close has been called.
	ErrClosed = errors.New("write log is closed")
	// ErrTooLarge: the batch does not fit in a segment.
	ErrTooLarge = errors.New("batch is longer than a segment")
)

// Options say where a log is and how large it may become.
type Options struct {
	FS           vfs.FS
	Dir          string
	Group        ident.GroupID
	SegmentBytes int64         // length of a segment; a multiple of PageBytes, at least SegmentBytesMin
	SegmentsMax  int           // at least 3
	SpaceWait    time.Duration // how long Reserve waits for a segment
	Retry        time.Duration // between tries to make a segment after one failed
	OnFull       func()        // a writer begins to wait for a segment; must not block
	OnFail       func()        // the log has latched a failure; called once, without locks
	Logger       *slog.Logger
}

// maxInFlight bounds the batches between Reserve and Complete.
const maxInFlight = 1024

// Log is an open write log. All methods are safe for concurrent use.
type Log struct {
	opt Options

	watermark atomic.Uint64              // every record up to here is completely written
	synced    atomic.Uint64              // every record up to here is on stable storage; ≤ watermark
	live      atomic.Pointer[[]*segment] // in the order of their numbers; replaced, never changed
	failed    atomic.Pointer[error]      // the latch: set once
	kick      chan struct{}              // the preparer has something to do
	done      chan struct{}              // closed by Close
	preparer  sync.WaitGroup

	mu struct {
		sync.Mutex
		nextSeq    ident.Seq
		cur        *segment
		off        int64 // in cur, where the next record may begin
		context    any   // given to every batch reserved from now on
		since      Usage // reserved since the context was set
		flight     [maxInFlight]slot
		head, next uint64 // tickets in flight: [head, next); a ticket's slot is ticket mod maxInFlight
		ready      []*segment
		free       []freeFile
		files      int           // segment files that exist, whatever their use
		nextName   int           // index in the name of the next new file
		lastNumber uint64        // highest segment number given out
		rolled     time.Time     // when the current segment was begun
		filled     time.Duration // that the one before it took
		changed    chan struct{}
		noSpace    bool      // making another file failed for want of space; tried again at each need
		held       bool      // only control batches are reserved
		reason     error     // why no file could be made; nil since one was
		full       time.Time // since when batches find no room; zero: the last one did
	}

	sync struct {
		sync.Mutex
		cond    *sync.Cond
		running bool
		dirty   []*segment // may hold records that are not synced; in order
		round   []*segment // scratch of the round that is running
	}
}

// Usage counts what was reserved.
type Usage struct {
	Records int64
	Bytes   int64     // room in the log
	Began   time.Time // when the first of them was
}

// slot is a batch in flight.
type slot struct {
	last ident.Seq
	wake chan struct{}
	done bool
}

// freeFile is a segment file that is not in use.
type freeFile struct {
	file vfs.File
	name string
}

func newLog(opt Options) *Log {
	l := &Log{opt: opt, kick: make(chan struct{}, 1), done: make(chan struct{})}
	l.sync.cond = sync.NewCond(&l.sync)
	l.mu.changed = make(chan struct{})
	l.live.Store(&[]*segment{})
	return l
}

func segmentName(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("log-%06d.seg", i)) }

// Err returns the latched failure, nil while the log works.
func (l *Log) Err() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// fail latches err: nothing is acknowledged from here on.
func (l *Log) fail(err error) error {
	if l.failed.CompareAndSwap(nil, &err) {
		if !errors.Is(err, ErrClosed) {
			l.opt.Logger.Error("write log failed; nothing is acknowledged any more", "dir", l.opt.Dir, "reason", err)
		}
		l.mu.Lock()
		l.wakeAllLocked()
		l.mu.Unlock()
		l.sync.Lock()
		l.sync.cond.Broadcast()
		l.sync.Unlock()
		if l.opt.OnFail != nil {
			l.opt.OnFail()
		}
	}
	return l.Err()
}

// Fail latches err, as a failed write would.
func (l *Log) Fail(err error) { _ = l.fail(err) }

func (l *Log) wakeAllLocked() {
	for t := l.mu.head; t < l.mu.next; t++ {
		signal(l.mu.flight[t%maxInFlight].wake)
	}
	l.changedLocked()
}

// changedLocked wakes those who wait for room.
func (l *Log) changedLocked() {
	close(l.mu.changed)
	l.mu.changed = make(chan struct{})
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Watermark is the sequence up to which every record is completely written.
func (l *Log) Watermark() ident.Seq { return ident.Seq(l.watermark.Load()) }

// Synced is the sequence up to which every record is on stable storage.
func (l *Log) Synced() ident.Seq { return ident.Seq(l.synced.Load()) }

// Since returns what has been reserved since the context was last set, and the next sequence.
func (l *Log) Since() (Usage, ident.Seq) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.since, l.mu.nextSeq
}

// Tail is where the next record will begin at the earliest.
func (l *Log) Tail() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.cur.pos(l.mu.off)
}

// Used returns the bytes of segments that hold records, and the most that the log may have.
func (l *Log) Used() (used, budget int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(*l.live.Load())) - 1
	return n*l.opt.SegmentBytes + l.mu.off, int64(l.opt.SegmentsMax) * l.opt.SegmentBytes
}

// Full returns since when batches find no room, zero if they do, and why no further segment can be made, nil if nothing
// is wrong with that.
func (l *Log) Full() (since time.Time, reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mu.ready) > 0 {
		return time.Time{}, nil
	}
	return l.mu.full, l.mu.reason
}

// Segment returns the number of the segment that p lies in.
func (l *Log) Segment(p Pos) uint64 { return uint64(p) / uint64(l.opt.SegmentBytes) }

// find returns the live segment with number n; nil if there is none.
func (l *Log) find(n uint64) *segment {
	live := *l.live.Load()
	i, ok := slices.BinarySearchFunc(live, n, func(s *segment, n uint64) int {
		switch {
		case s.Number < n:
			return -1
		case s.Number > n:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return live[i]
}

// Free gives back every segment whose number is below n. The caller knows that nobody reads them and that no recovery
// needs them.
func (l *Log) Free(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := *l.live.Load()
	i := 0
	for i < len(live) && live[i].Number < n && live[i] != l.mu.cur {
		i++
	}
	if i == 0 {
		return
	}
	rest := slices.Clone(live[i:])
	l.live.Store(&rest)
	for _, s := range live[:i] {
		s.file.Drop(0, 0)
		l.mu.free = append(l.mu.free, freeFile{file: s.file, name: s.name})
	}
	l.changedLocked()
	signal(l.kick)
}

// Close ends the log after a last sync, joins its goroutine and closes its files. Nobody may be inside another method.
// It returns the latched failure, if there was one.
func (l *Log) Close() error {
	err := l.Err()
	if err == nil {
		err = l.Sync(l.Watermark())
	}
	close(l.done)
	l.preparer.Wait()
	_ = l.fail(ErrClosed)
	l.closeFiles()
	return err
}

// Abandon closes the files of a log that was never begun.
func (l *Log) Abandon() error {
	err := l.fail(ErrClosed)
	l.closeFiles()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

func (l *Log) closeFiles() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range *l.live.Load() {
		s.file.Close()
	}
	for _, s := range l.mu.ready {
		s.file.Close()
	}
	for _, f := range l.mu.free {
		f.file.Close()
	}
}
