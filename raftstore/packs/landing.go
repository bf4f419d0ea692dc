package packs

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

const (
	landBatchBytes = 4 << 20   // packs that share a write and an fdatasync, at most
	zeroStep       = 256 << 10 // a new segment grows by this, so that few fdatasyncs have to write metadata
	sparesMax      = 2         // segments kept for use again
	tombsMax       = 1024      // deletions that wait for a write of packs to go with
	tombsHeld      = 8192      // deletions that wait for a write that is under way to end, at most
)

// landing is the log of small packs. Packs that are put at the same time share one write and one fdatasync, which one of
// the callers does for all. A segment whose last pack was deleted is used again. Safe for concurrent use.
type landing struct {
	dir          string
	fs           vfs.FS
	log          *slog.Logger
	segmentBytes int64 // size at which a segment ends

	mu       sync.Mutex
	waiting  []*landRequest
	tombs    []pack.ID // deletions not written yet
	running  bool      // somebody has the turn: active, buf and the offsets are theirs
	closed   bool
	segments map[uint32]*segment
	spares   []string // files to be used again
	renamed  bool     // since the folder was last synced

	active *segment // nil: the next write begins one
	head   segmentHead
	end    int64 // of what is written to active
	synced int64 // of that, on stable storage
	zeroed int64 // size of active's file
	next   uint32
	buf    []byte
}

// segment is a file of the log. Its counts are guarded by landing.mu.
type segment struct {
	no      uint32
	f       vfs.File
	live    int   // packs that are here and not deleted or replaced
	bytes   int64 // of those
	readers int
	sealed  bool // not written to any more
}

// place is where a pack is in the log; the zero place is no place in it.
type place struct{ no, at uint32 }

type landRequest struct {
	id    pack.ID
	b     []byte
	turn  chan bool // true: write for all who wait; false: done
	place place
	err   error
}

func newLanding(fsys vfs.FS, dir string, log *slog.Logger) *landing {
	return &landing{dir: dir, fs: fsys, log: log, segmentBytes: segmentBytesMax,
		segments: map[uint32]*segment{}, next: 1}
}

// append stores a pack of at most landedBytesMax bytes; on return without error it is on stable storage and counted in
// its segment as live.
func (l *landing) append(id pack.ID, b []byte) (place, error) {
	r := &landRequest{id: id, b: b, turn: make(chan bool, 1)}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return place{}, ErrClosed
	}
	l.waiting = append(l.waiting, r)
	lead := !l.running
	l.running = true
	l.mu.Unlock()
	if lead || <-r.turn {
		l.lead()
	}
	return r.place, r.err
}

// lead writes what waits, as much as goes into one batch, and gives the turn away. The caller has it.
func (l *landing) lead() {
	l.mu.Lock()
	batch, need := l.takeLocked()
	tombs := l.tombs
	l.tombs = nil
	l.mu.Unlock()
	seg, err := l.write(batch, tombs, need+len(tombs)*recordHeadBytes)
	l.mu.Lock()
	for _, r := range batch {
		if r.err = err; err == nil {
			seg.live++
			seg.bytes += int64(len(r.b))
		}
	}
	dead := l.passTurnLocked()
	l.mu.Unlock()
	for _, r := range batch {
		r.turn <- false
	}
	l.retire(dead)
}

// passTurnLocked gives the turn to the first who waits. It returns segments that failed before they held a pack.
func (l *landing) passTurnLocked() []*segment {
	l.running = len(l.waiting) > 0
	if l.running {
		l.waiting[0].turn <- true
	}
	var dead []*segment
	for _, s := range l.segments {
		if l.deadLocked(s) {
			dead = append(dead, s)
		}
	}
	return dead
}

// takeLocked takes the next batch off the queue and returns the space that it needs.
func (l *landing) takeLocked() (batch []*landRequest, need int) {
	n := 0
	limit := min(landBatchBytes, int(l.segmentBytes)/2)
	for n < len(l.waiting) && (n == 0 || need+space(len(l.waiting[n].b)) <= limit) {
		need += space(len(l.waiting[n].b))
		n++
	}
	batch, l.waiting = l.waiting[:n:n], l.waiting[n:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	return batch, need
}

// write appends deletions and packs, need bytes together, to the active segment. With packs it is an fdatasync too.
func (l *landing) write(batch []*landRequest, tombs []pack.ID, need int) (*segment, error) {
	if l.active == nil || l.end+int64(need) > l.segmentBytes {
		if err := l.begin(); err != nil {
			return nil, err
		}
	}
	seed, at := l.head.seed(), l.end
	l.buf = l.buf[:0]
	for _, id := range tombs {
		l.buf = appendRecord(l.buf, seed, record{kind: recordDeleted, id: id, synced: uint32(l.synced)}, nil)
	}
	for _, r := range batch {
		r.place = place{l.active.no, uint32(at) + uint32(len(l.buf))}
		l.buf = appendRecord(l.buf, seed, record{kind: recordPack, id: r.id, synced: uint32(l.synced)}, r.b)
	}
	l.end += int64(len(l.buf))
	if l.end > l.zeroed {
		l.zeroed = max(l.end, min((l.end+zeroStep-1)/zeroStep*zeroStep, l.segmentBytes))
		l.buf = append(l.buf, make([]byte, l.zeroed-l.end)...)
	}
	seg := l.active
	_, err := seg.f.WriteAt(l.buf, at)
	if err == nil && len(batch) > 0 {
		err = seg.f.SyncData()
	}
	if cap(l.buf) > landBatchBytes/4 {
		l.buf = nil
	}
	if err != nil {
		l.seal()
		return nil, fmt.Errorf("segment %d of the landing log at %d: %w", seg.no, at, err)
	}
	if len(batch) > 0 {
		l.synced = l.end
	}
	return seg, nil
}

// seal ends the active segment. What a failed write or fdatasync left in it is never relied on, nor written again.
func (l *landing) seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active != nil {
		l.active.sealed = true
		l.active = nil
	}
}

// begin makes a new active segment, durably, out of a spare file if there is one.
func (l *landing) begin() error {
	h := segmentHead{no: l.next}
	if l.active != nil {
		h.before, h.beforeEnd = l.active.no, uint32(l.synced)
	}
	l.seal()
	l.next++
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	h.incarnation = binary.LittleEndian.Uint64(random[:])
	temp, err := l.takeSpare(h.no)
	if err != nil {
		return err
	}
	f, err := l.fs.OpenReadWrite(temp, durable.Category)
	if err != nil {
		return fmt.Errorf("begin segment %d of the landing log: %w", h.no, err)
	}
	size, err := l.beginFile(f, temp, h)
	if err != nil {
		return errors.Join(fmt.Errorf("begin segment %d of the landing log: %w", h.no, err), f.Close(),
			durable.Remove(l.fs, temp))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = &segment{no: h.no, f: f}
	l.segments[h.no] = l.active
	l.head, l.end, l.synced, l.zeroed = h, segmentHeadBytes, segmentHeadBytes, size
	return nil
}

// takeSpare returns the name of a file that may be overwritten. One that had another name before has it no more, even
// after power loss.
func (l *landing) takeSpare(no uint32) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.spares) == 0 {
		return l.path(no, newSuffix), nil
	}
	if l.renamed {
		if err := durable.SyncDir(l.fs, l.dir); err != nil {
			return "", err
		}
		l.renamed = false
	}
	name := l.spares[len(l.spares)-1]
	l.spares = l.spares[:len(l.spares)-1]
	return name, nil
}

// beginFile writes the head and gives the file its name. It returns the size of the file.
func (l *landing) beginFile(f vfs.File, temp string, h segmentHead) (int64, error) {
	if _, err := f.WriteAt(h.append(nil), 0); err != nil {
		return 0, err
	}
	if err := f.SyncData(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := l.fs.Rename(temp, l.path(h.no, segmentSuffix)); err != nil {
		return 0, err
	}
	if err := durable.SyncDir(l.fs, l.dir); err != nil {
		return 0, errors.Join(err, durable.Remove(l.fs, l.path(h.no, segmentSuffix)))
	}
	return info.Size(), nil
}

// close writes the deletions that wait and closes the files. No append may be under way.
func (l *landing) close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	tombs := l.tombs
	l.tombs = nil
	busy := l.running
	l.mu.Unlock()
	var errs []error
	if len(tombs) > 0 && !busy && l.active != nil {
		_, err := l.write(nil, tombs, len(tombs)*recordHeadBytes)
		errs = append(errs, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		errs = append(errs, s.f.Close())
	}
	return errors.Join(errs...)
}
