package storepack

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

// What can go wrong with the store. ErrDamaged is wrapped around what was found.
var (
	ErrNotFound = errors.New("store pack is not there")
	ErrDamaged  = errors.New("store pack is damaged")
	ErrFull     = errors.New("no space left for store packs")
	ErrClosed   = errors.New("store of packs is closed")
)

const suffix = ".pack"

// Options configure a Store. The zero value is usable.
type Options struct {
	FS         vfs.FS // default: the operating system's
	BytesMax   int    // size at which a pack is closed; default and maximum pack.MaxBytes
	CacheBytes int64  // decoded frames kept in memory; default 32 MiB
	FilesMax   int    // packs kept open for reading; default 256
	Logger     *slog.Logger
}

func (o *Options) fill() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.BytesMax <= 0 || o.BytesMax > pack.MaxBytes {
		o.BytesMax = pack.MaxBytes
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 32 << 20
	}
	if o.FilesMax <= 0 {
		o.FilesMax = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Store is a directory of store packs. Safe for concurrent use. Only one Store may be open on a directory.
type Store struct {
	dir   string
	opt   Options
	cache *cache
	files *files

	mu     sync.Mutex
	packs  map[uint32]*info
	active *active // nil: the next Append begins a pack
	next   uint32
	closed bool
}

// info is what is known of one pack.
type info struct {
	bytes   int64 // size, as far as written
	pending int   // appends whose index entries are not settled
	sealed  bool
}

// Open opens the store in dir, which it creates durably if absent. Packs of earlier runs are never appended to.
func Open(dir string, opt Options) (*Store, error) {
	opt.fill()
	s := &Store{dir: dir, opt: opt, packs: map[uint32]*info{}, next: 1, cache: newCache(opt.CacheBytes)}
	s.files = newFiles(opt.FilesMax, s.open)
	if err := durable.MkdirAll(opt.FS, dir); err != nil {
		return nil, fmt.Errorf("store packs: %w", err)
	}
	names, err := opt.FS.List(dir)
	if err != nil {
		return nil, fmt.Errorf("store packs: %w", err)
	}
	for _, name := range names {
		no, err := parseName(name)
		if err != nil {
			opt.Logger.Warn("store packs: file is not a pack, left alone", "file", opt.FS.PathJoin(dir, name))
			continue
		}
		stat, err := opt.FS.Stat(opt.FS.PathJoin(dir, name))
		if err != nil {
			return nil, fmt.Errorf("store packs: %w", err)
		}
		s.packs[no] = &info{bytes: stat.Size(), sealed: true}
		s.next = max(s.next, no+1)
	}
	return s, nil
}

// FileName returns the name of the file that holds pack no.
func FileName(no uint32) string { return fmt.Sprintf("%08x%s", no, suffix) }

func parseName(name string) (uint32, error) {
	digits, ok := strings.CutSuffix(name, suffix)
	no, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || len(digits) != 8 || no == 0 {
		return 0, fmt.Errorf("%q is not the name of a store pack", name)
	}
	return uint32(no), nil
}

func (s *Store) path(no uint32) string { return s.opt.FS.PathJoin(s.dir, FileName(no)) }

// Skip keeps numbers up to no from being given to a new pack: the index still speaks of them.
func (s *Store) Skip(no uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = max(s.next, no+1)
}

// Packs returns the size of every pack in bytes.
func (s *Store) Packs() map[uint32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[uint32]int64, len(s.packs))
	for no, i := range s.packs {
		m[no] = i.bytes
	}
	return m
}

// Usage returns the number of packs and their total size in bytes.
func (s *Store) Usage() (count int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range maps.Values(s.packs) {
		bytes += i.bytes
	}
	return len(s.packs), bytes
}

// Closed reports whether a pack is there, is not appended to any more, and no Append to it awaits Settle.
func (s *Store) Closed(no uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.packs[no]
	return i != nil && i.sealed && i.pending == 0
}

// Delete removes a pack if it is closed and no Append to it awaits Settle; it reports whether the pack is gone. Nothing
// may refer to the pack any more. Not durable on return.
func (s *Store) Delete(no uint32) (bool, error) {
	s.mu.Lock()
	i := s.packs[no]
	if i != nil && (!i.sealed || i.pending > 0) {
		s.mu.Unlock()
		return false, nil
	}
	delete(s.packs, no)
	s.mu.Unlock()
	if i == nil {
		return true, nil
	}
	s.files.drop(no)
	s.cache.drop(no)
	if err := s.opt.FS.Remove(s.path(no)); err != nil {
		return false, fmt.Errorf("delete store pack %d: %w", no, err)
	}
	return true, nil
}

// Seal closes the active pack, so that it can be collected. The next Append begins another.
func (s *Store) Seal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealLocked()
}

func (s *Store) sealLocked() error {
	a := s.active
	if a == nil {
		return nil
	}
	s.active = nil
	s.packs[a.no].sealed = true
	return a.release()
}

// Close closes the files. Appends that were not synced may be lost.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.sealLocked()
	s.mu.Unlock()
	return errors.Join(err, s.files.close())
}

func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
