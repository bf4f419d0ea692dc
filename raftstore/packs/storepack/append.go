package storepack

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

// active is the pack being appended to. It stays open until the last append to it was settled or synced.
type active struct {
	no uint32
	f  vfs.File

	mu      sync.Mutex
	wake    sync.Cond
	refs    int // the store's, and one for each append under way
	asked   int // syncs asked for
	done    int // syncs asked for that are covered by a finished fdatasync
	running bool
	err     error // the first failed fdatasync; nothing of the pack can be trusted to become durable after it
}

func newActive(no uint32, f vfs.File) *active {
	a := &active{no: no, f: f, refs: 1}
	a.wake.L = &a.mu
	return a
}

func (a *active) hold() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refs++
}

func (a *active) release() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refs--; a.refs == 0 {
		return a.f.Close()
	}
	return nil
}

// sync returns after an fdatasync that began after the call. Callers that wait together share one.
func (a *active) sync() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	mine := a.asked
	for a.running && a.done < mine {
		a.wake.Wait()
	}
	if a.err != nil || a.done >= mine {
		return a.err
	}
	a.running = true
	covers := a.asked
	a.mu.Unlock()
	err := a.f.SyncData()
	a.mu.Lock()
	a.running = false
	a.done = covers
	if a.err == nil && err != nil {
		a.err = fmt.Errorf("sync store pack %d: %w", a.no, full(err))
	}
	a.wake.Broadcast()
	return a.err
}

// Batch is a set of frames that were appended and wait to be made durable and referred to.
type Batch struct {
	s *Store
	a *active
}

// Sync returns when the batch is on stable storage, with its directory entry. After an error nothing of it may be
// referred to.
func (t Batch) Sync() error {
	err := t.a.sync()
	if err != nil {
		t.s.abandon(t.a)
	}
	return err
}

// Settle ends the batch, exactly once: what refers to it is in the index now, or nothing ever will. Until then the pack
// is not deleted.
func (t Batch) Settle() {
	t.s.mu.Lock()
	t.s.packs[t.a.no].pending--
	t.s.mu.Unlock()
	if err := t.a.release(); err != nil {
		t.s.opt.Logger.Error("store packs: close", "pack", t.a.no, "err", err)
	}
}

// Append writes all frames of b to one pack, and returns where they are; refs[i] is frame i. Not durable before Sync.
// b is left empty. The frames must fit into a pack.
func (s *Store) Append(b *Builder) ([]Ref, Batch, error) {
	b.cut()
	if len(b.out) > s.opt.BytesMax-pack.HeaderBytes {
		return nil, Batch{}, fmt.Errorf("append to store packs: %w: %d bytes", pack.ErrFull, len(b.out))
	}
	a, at, err := s.reserve(len(b.out))
	if err != nil {
		return nil, Batch{}, fmt.Errorf("append to store packs: %w", err)
	}
	batch := Batch{s: s, a: a}
	if _, err := a.f.WriteAt(b.out, at); err != nil {
		s.abandon(a)
		batch.Settle()
		return nil, Batch{}, fmt.Errorf("append %d bytes to store pack %d at %d: %w", len(b.out), a.no, at, full(err))
	}
	refs := make([]Ref, len(b.refs))
	for i, r := range b.refs {
		refs[i] = Ref{Pack: a.no, At: uint32(at) + r.At, Len: r.Len}
		if f := b.frames[i]; f != nil {
			s.cache.put(refs[i], f)
		}
	}
	b.Reset()
	return refs, batch, nil
}

// reserve finds room for n bytes and keeps the pack from being closed or deleted.
func (s *Store) reserve(n int) (*active, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, ErrClosed
	}
	if s.active != nil && s.packs[s.active.no].bytes+int64(n) > int64(s.opt.BytesMax) {
		if err := s.sealLocked(); err != nil {
			return nil, 0, err
		}
	}
	if s.active == nil {
		if err := s.beginLocked(); err != nil {
			return nil, 0, full(err)
		}
	}
	i := s.packs[s.active.no]
	at := i.bytes
	i.bytes += int64(n)
	i.pending++
	s.active.hold()
	return s.active, at, nil
}

func (s *Store) beginLocked() error {
	no := s.next
	s.next++
	f, err := s.opt.FS.OpenReadWrite(s.path(no), durable.Category)
	if err != nil {
		return fmt.Errorf("create store pack %d: %w", no, err)
	}
	s.packs[no] = &info{bytes: pack.HeaderBytes}
	if _, err = f.WriteAt(pack.AppendHeader(nil, pack.Store), 0); err == nil {
		err = durable.SyncDir(s.opt.FS, s.dir)
	}
	if err != nil {
		s.packs[no].sealed = true
		return errors.Join(fmt.Errorf("begin store pack %d: %w", no, err), f.Close())
	}
	s.active = newActive(no, f)
	return nil
}

// abandon closes a pack that could not be written or synced; what was durable in it stays readable.
func (s *Store) abandon(a *active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != a {
		return
	}
	if err := s.sealLocked(); err != nil {
		s.opt.Logger.Error("store packs: close", "pack", a.no, "err", err)
	}
}

// SyncAll makes all batches durable, with one fdatasync for each pack.
func SyncAll(batches []Batch) error {
	seen := map[*active]bool{}
	for _, t := range batches {
		if seen[t.a] {
			continue
		}
		seen[t.a] = true
		if err := t.Sync(); err != nil {
			return err
		}
	}
	return nil
}
