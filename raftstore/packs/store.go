package packs

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

// What can go wrong with a pack of the store.
var (
	ErrNotFound = errors.New("pack is not in the store")
	ErrDamaged  = errors.New("stored pack is damaged")
	ErrFull     = errors.New("pack store is full")
	ErrClosed   = errors.New("pack store is closed")
)

// Options configure a Store. The zero value is usable.
type Options struct {
	FS           vfs.FS       // default: the operating system's
	BytesMax     int64        // total size of all packs; 0: no limit
	ReserveBytes int64        // space of the file system that Put leaves free
	Logger       *slog.Logger // default: discard

	segmentBytes int64 // of the landing log; tests make it small
}

// Store is a directory of packs. Safe for concurrent use. Only one Store may be open on a directory.
type Store struct {
	dir     string
	opt     Options
	landing *landing

	mu         sync.Mutex
	have       map[pack.ID]entry
	bytes      int64
	writes     uint64                    // names temporary files
	busy       map[pack.ID]chan struct{} // packs being written or deleted; closed when done
	condensing bool                      // somebody moves packs within the landing log
}

type entry struct {
	size    uint32
	place   place // in the landing log; zero: the pack has a file of its own
	damaged bool  // found wrong when read; the next Put replaces it
}

// Open opens the store in dir, which it creates durably if absent. What a crash left half-written is removed.
func Open(dir string, opt Options) (*Store, error) {
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, opt: opt, have: map[pack.ID]entry{}, busy: map[pack.ID]chan struct{}{}}
	s.landing = newLanding(opt.FS, s.path("landing"), opt.Logger)
	if opt.segmentBytes > 0 {
		s.landing.segmentBytes = opt.segmentBytes
	}
	for _, dir := range []string{s.path("tmp"), s.landing.dir} {
		if err := durable.MkdirAll(opt.FS, dir); err != nil {
			return nil, fmt.Errorf("pack store: %w", err)
		}
	}
	if err := s.cleanTemp(); err != nil {
		return nil, fmt.Errorf("pack store: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("pack store: %w", err), s.landing.close())
	}
	return s, nil
}

// Close closes the files. Nothing may be under way. What Put has returned for is on stable storage without it.
func (s *Store) Close() error {
	if err := s.landing.close(); err != nil {
		return fmt.Errorf("close pack store: %w", err)
	}
	return nil
}

func (s *Store) path(elem ...string) string {
	return s.opt.FS.PathJoin(append([]string{s.dir}, elem...)...)
}

func (s *Store) folder(id pack.ID) string { return s.path(id.String()[2:4]) }

func (s *Store) file(id pack.ID) string {
	name := id.String()
	return s.path(name[2:4], name)
}

func (s *Store) cleanTemp() error {
	names, err := s.opt.FS.List(s.path("tmp"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.opt.FS.Remove(s.path("tmp", name)); err != nil {
			return err
		}
	}
	return nil
}

// Has reports whether the pack is there and not known to be damaged.
func (s *Store) Has(id pack.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.have[id]
	return ok && !e.damaged
}

// List returns all packs that Has reports, in no order.
func (s *Store) List() []pack.Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	refs := make([]pack.Ref, 0, len(s.have))
	for id, e := range s.have {
		if !e.damaged {
			refs = append(refs, pack.Ref{ID: id, Size: e.size})
		}
	}
	return refs
}

// Usage returns the number of packs and their total size in bytes.
func (s *Store) Usage() (count int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.have), s.bytes
}

// take waits until nobody else writes or deletes the pack and keeps others from it until the returned function is
// called.
func (s *Store) take(id pack.ID) (release func()) {
	s.mu.Lock()
	for s.busy[id] != nil {
		wait := s.busy[id]
		s.mu.Unlock()
		<-wait
		s.mu.Lock()
	}
	done := make(chan struct{})
	s.busy[id] = done
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.busy, id)
		s.mu.Unlock()
		close(done)
	}
}

// Put stores the pack id whose bytes are b, after checking that they are. On return without error it is on stable
// storage, and so is its directory entry. A pack that is there already is not written again. b is not kept.
// Errors: pack.ErrCorrupt when b is not the pack, ErrFull, or the file system's.
func (s *Store) Put(id pack.ID, b []byte) error {
	if _, err := pack.Open(b, id); err != nil {
		return fmt.Errorf("put pack: %w", err)
	}
	defer s.take(id)()
	if s.Has(id) {
		return nil
	}
	if err := s.room(int64(len(b))); err != nil {
		return fmt.Errorf("put pack %s: %w", id, err)
	}
	e, err := s.write(id, b)
	if err != nil {
		s.forget(id)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("put pack %s: %w", id, err)
	}
	s.enter(id, e)
	return nil
}

// enter makes e what is known of the pack, and frees what was there before it.
func (s *Store) enter(id pack.ID, e entry) {
	s.mu.Lock()
	old, had := s.have[id]
	s.have[id] = e
	s.bytes += int64(e.size) - int64(old.size)
	s.mu.Unlock()
	switch {
	case old.place.no != 0:
		s.landing.free(old.place, old.size)
	case had && e.place.no != 0:
		s.removeFile(id)
	}
}

func (s *Store) removeFile(id pack.ID) {
	if err := durable.Remove(s.opt.FS, s.file(id)); err != nil {
		s.opt.Logger.Warn("pack store: remove a file that is not needed", "pack", id, "err", err)
	}
}

func (s *Store) room(n int64) error {
	if _, bytes := s.Usage(); s.opt.BytesMax > 0 && bytes+n > s.opt.BytesMax {
		return fmt.Errorf("%w: %d bytes of %d used, %d more asked for", ErrFull, bytes, s.opt.BytesMax, n)
	}
	if s.opt.ReserveBytes <= 0 {
		return nil
	}
	usage, err := s.opt.FS.GetDiskUsage(s.dir)
	if err != nil {
		return nil // a file system that can not tell answers ENOSPC when it is full
	}
	if avail := int64(min(usage.AvailBytes, 1<<62)); avail-n < s.opt.ReserveBytes {
		return fmt.Errorf("%w: %d bytes free, %d are kept in reserve", ErrFull, avail, s.opt.ReserveBytes)
	}
	return nil
}

// write stores a small pack in the landing log and a large one in a file of its own.
func (s *Store) write(id pack.ID, b []byte) (entry, error) {
	e := entry{size: uint32(len(b))}
	var err error
	if len(b) <= landedBytesMax {
		e.place, err = s.landing.append(id, b)
		return e, err
	}
	if err := durable.MkdirAll(s.opt.FS, s.folder(id)); err != nil {
		return e, err
	}
	s.mu.Lock()
	s.writes++
	temp := s.path("tmp", strconv.FormatUint(s.writes, 10))
	s.mu.Unlock()
	return e, durable.WriteFile(s.opt.FS, s.file(id), temp, b)
}

// forget takes a pack whose write failed out of the store: it is not known to be durable.
func (s *Store) forget(id pack.ID) {
	s.removeFile(id)
	s.drop(id)
}

func (s *Store) drop(id pack.ID) {
	s.mu.Lock()
	e := s.have[id]
	s.bytes -= int64(e.size)
	delete(s.have, id)
	s.mu.Unlock()
	if e.place.no != 0 {
		s.landing.free(e.place, e.size)
	}
}

// Delete removes the pack. A pack that is not there is not an error. Not durable on return: after power loss the pack
// may be back, whole.
func (s *Store) Delete(id pack.ID) error {
	if err := s.remove(id); err != nil {
		return fmt.Errorf("delete pack %s: %w", id, err)
	}
	s.condense()
	return nil
}

func (s *Store) remove(id pack.ID) error {
	defer s.take(id)()
	s.mu.Lock()
	e := s.have[id]
	s.mu.Unlock()
	if e.place.no != 0 {
		s.landing.deleted(id)
	} else if err := durable.Remove(s.opt.FS, s.file(id)); err != nil {
		return err
	}
	s.drop(id)
	return nil
}
