package packs

import (
	"errors"
	"fmt"
	"io/fs"
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
)

// Options configure a Store. The zero value is usable.
type Options struct {
	FS           vfs.FS       // default: the operating system's
	BytesMax     int64        // total size of all packs; 0: no limit
	ReserveBytes int64        // space of the file system that Put leaves free
	Logger       *slog.Logger // default: discard
}

// Store is a directory of packs. Safe for concurrent use. Only one Store may be open on a directory.
type Store struct {
	dir string
	opt Options

	mu     sync.Mutex
	have   map[pack.ID]entry
	bytes  int64
	writes uint64                    // names temporary files
	busy   map[pack.ID]chan struct{} // packs being written or deleted; closed when done
}

type entry struct {
	size    uint32
	damaged bool // found wrong when read; the next Put replaces it
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
	if err := durable.MkdirAll(opt.FS, s.path("tmp")); err != nil {
		return nil, fmt.Errorf("pack store: %w", err)
	}
	if err := s.cleanTemp(); err != nil {
		return nil, fmt.Errorf("pack store: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("pack store: %w", err)
	}
	return s, nil
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

func (s *Store) load() error {
	folders, err := s.opt.FS.List(s.dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if _, err := strconv.ParseUint(folder, 16, 8); err != nil || len(folder) != 2 {
			continue
		}
		names, err := s.opt.FS.List(s.path(folder))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := s.loadFile(folder, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) loadFile(folder, name string) error {
	id, err := pack.ParseID(name)
	if err != nil {
		s.opt.Logger.Warn("pack store: file is not a pack, left alone", "file", s.path(folder, name))
		return nil
	}
	info, err := s.opt.FS.Stat(s.path(folder, name))
	if err != nil {
		return err
	}
	e := entry{size: uint32(min(info.Size(), pack.MaxBytes+1))}
	e.damaged = info.Size() > pack.MaxBytes || info.Size() < pack.HeaderBytes
	s.have[id] = e
	s.bytes += int64(e.size)
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
	if err := s.write(id, b); err != nil {
		s.forget(id)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("put pack %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(len(b)) - int64(s.have[id].size)
	s.have[id] = entry{size: uint32(len(b))}
	return nil
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

func (s *Store) write(id pack.ID, b []byte) error {
	if err := durable.MkdirAll(s.opt.FS, s.folder(id)); err != nil {
		return err
	}
	s.mu.Lock()
	s.writes++
	temp := s.path("tmp", strconv.FormatUint(s.writes, 10))
	s.mu.Unlock()
	return durable.WriteFile(s.opt.FS, s.file(id), temp, b)
}

// forget takes a pack whose write failed out of the store: it is not known to be durable.
func (s *Store) forget(id pack.ID) {
	if err := s.opt.FS.Remove(s.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.opt.Logger.Warn("pack store: remove what could not be made durable", "pack", id, "err", err)
	}
	s.drop(id)
}

func (s *Store) drop(id pack.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= int64(s.have[id].size)
	delete(s.have, id)
}

// Delete removes the pack. A pack that is not there is not an error. Not durable on return: after power loss the pack
// may be back, whole.
func (s *Store) Delete(id pack.ID) error {
	defer s.take(id)()
	if err := s.opt.FS.Remove(s.file(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete pack %s: %w", id, err)
	}
	s.drop(id)
	return nil
}
