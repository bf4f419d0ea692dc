package wal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/weirstor/weir/intercept/vfs"
)

const (
	readyWanted = 3       // segments made ready ahead of need
	zeroStep    = 1 << 20 // bytes
	zeroRate    = 40e6    // bytes that writers log in a second, from which on new files are not written ahead of them
)

// prepare makes segments ready ahead of need: it heads freed files anew, and makes new ones while the budget lasts. It
// is the log's only goroutine.
func (l *Log) prepare() {
	defer l.preparer.Done()
	retry := time.NewTicker(l.opt.Retry)
	defer retry.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-l.kick:
		case <-retry.C:
			if !l.clearNoSpace() {
				continue
			}
		}
		for l.Err() == nil && l.prepareOne() {
		}
	}
}

// clearNoSpace makes the next need try for a new file again; false if nothing was wrong.
func (l *Log) clearNoSpace() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.mu.noSpace
	l.mu.noSpace = false
	return was
}

// prepareOne makes one segment ready; false when enough are, or none can be.
func (l *Log) prepareOne() bool {
	l.mu.Lock()
	wanted := len(l.mu.ready) < readyWanted
	if !wanted || l.exhaustedLocked() {
		l.mu.Unlock()
		return false
	}
	var f freeFile
	if n := len(l.mu.free); n > 0 {
		f, l.mu.free = l.mu.free[n-1], l.mu.free[:n-1]
	} else {
		f.name = segmentName(l.opt.Dir, l.mu.nextName)
		l.mu.nextName++
		l.mu.files++
	}
	l.mu.lastNumber++
	number := l.mu.lastNumber
	l.mu.Unlock()

	s, err := l.makeReady(&f, number)
	if err != nil && !vfs.IsNoSpace(err) {
		_ = l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.changedLocked()
	if err == nil {
		l.mu.ready, l.mu.reason = append(l.mu.ready, s), nil
		return true
	}
	l.mu.noSpace = true
	l.mu.files-- // removed by makeReady
	if l.mu.reason == nil {
		l.opt.Logger.Warn("no further log segment can be made; it is tried again until there is room", "dir", l.opt.Dir, "reason", err)
	}
	l.mu.reason = err
	return false
}

// makeReady turns f into segment number, with its header on stable storage. Without room on the disk for that there is no
// file afterwards: one that nothing counts any more would take from the log's budget for ever.
func (l *Log) makeReady(f *freeFile, number uint64) (_ *segment, err error) {
	defer func() {
		if f.file != nil && vfs.IsNoSpace(err) {
			l.discard(f)
		}
	}()
	if f.file == nil {
		if err := l.makeFile(f); err != nil {
			return nil, err
		}
	}
	size, err := f.file.Size()
	if err == nil && size < l.opt.SegmentBytes { // its making was cut off by a crash
		err = f.file.Allocate(0, l.opt.SegmentBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("length of segment %d: %w", number, err)
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	s := &segment{
		Header: Header{
			Group: l.opt.Group, Number: number, Incarnation: binary.LittleEndian.Uint64(random[:]),
			Bytes: l.opt.SegmentBytes, Synced: l.Synced(),
		},
		file: f.file, name: f.name,
	}
	s.seed = seedOf(s.Incarnation)
	if _, err := f.file.WriteAt(s.encode(), 0); err != nil {
		return nil, fmt.Errorf("header of segment %d: %w", number, err)
	}
	if err := f.file.Datasync(); err != nil {
		return nil, fmt.Errorf("header of segment %d: %w", number, err)
	}
	return s, nil
}

// makeFile creates a segment file of full length, its name durable. After an error there is no file.
func (l *Log) makeFile(f *freeFile) (err error) {
	file, err := l.opt.FS.Create(f.name)
	if err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	f.file = file
	defer func() {
		if err != nil {
			l.discard(f)
		}
	}()
	if err := f.file.Allocate(0, l.opt.SegmentBytes); err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	if err := l.writeZeroes(f.file); err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	if err := f.file.Datasync(); err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	if err := l.opt.FS.SyncDir(l.opt.Dir); err != nil {
		return fmt.Errorf("new segment: %w", err)
	}
	return nil
}

// discard closes and removes f.
func (l *Log) discard(f *freeFile) {
	f.file.Close()
	_ = l.opt.FS.Remove(f.name) // a file that stays is taken for a free one at the next start
	f.file = nil
}

// writeZeroes writes a new file once with zeroes, which makes every later fdatasync of it cheaper: the disk's blocks
// need not be marked as written then. It stops as soon as writers may have to wait for the segment or fill segments
// so fast that the zeroes would take from them more than they give: then the first use of the file writes it.
func (l *Log) writeZeroes(f vfs.File) error {
	n := l.opt.SegmentBytes
	z := make([]byte, min(n, zeroStep))
	for off := int64(0); off < n && !l.hurried(time.Now()); off += int64(len(z)) {
		step := min(int64(len(z)), n-off)
		if _, err := f.WriteAt(z[:step], off); err != nil {
			return err
		}
		f.StartWriteback(off, step)
	}
	return nil
}

// hurried reports whether no segment is ready, or the last segment was filled in little time and not long ago.
func (l *Log) hurried(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	quick := time.Duration(float64(l.opt.SegmentBytes) / zeroRate * float64(time.Second))
	return len(l.mu.ready) == 0 || l.mu.filled > 0 && l.mu.filled < quick && now.Sub(l.mu.rolled) < quick
}
