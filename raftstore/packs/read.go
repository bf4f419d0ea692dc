package packs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/replicate/pack"
)

// Get returns the whole pack, checked against its ID; the caller owns the bytes. Errors: ErrNotFound, or ErrDamaged
// with what is wrong, after which Has denies the pack and Put replaces it.
func (s *Store) Get(id pack.ID) ([]byte, error) {
	f, size, err := s.open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, s.damaged(id, err)
	}
	if _, err := pack.Open(b, id); err != nil {
		return nil, s.damaged(id, err)
	}
	return b, nil
}

// ReadFrame returns the one frame at offset at of the pack, its checksum checked; the caller owns the payload. Errors
// as for Get. Only the frame is read, so damage elsewhere in the pack goes unnoticed.
func (s *Store) ReadFrame(id pack.ID, at uint32) (pack.Frame, error) {
	f, size, err := s.open(id)
	if err != nil {
		return pack.Frame{}, err
	}
	defer f.Close()
	fr, err := pack.ReadFrame(f, size, at)
	if err != nil {
		return pack.Frame{}, s.damaged(id, err)
	}
	return fr, nil
}

func (s *Store) open(id pack.ID) (vfs.File, uint32, error) {
	s.mu.Lock()
	e, ok := s.have[id]
	s.mu.Unlock()
	if !ok {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	f, err := s.opt.FS.Open(s.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, s.lost(id)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open pack %s: %w", id, err)
	}
	return f, e.size, nil
}

// lost tells a pack that was deleted just now from one whose file is gone.
func (s *Store) lost(id pack.ID) error {
	s.mu.Lock()
	_, ok := s.have[id]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return s.damaged(id, errors.New("its file is gone"))
}

// damaged marks the pack so that a good copy can replace it.
func (s *Store) damaged(id pack.ID, cause error) error {
	s.mu.Lock()
	if e, ok := s.have[id]; ok {
		e.damaged = true
		s.have[id] = e
	}
	s.mu.Unlock()
	s.opt.Logger.Error("pack store: damaged pack", "pack", id, "err", cause)
	return fmt.Errorf("%w: %s: %w", ErrDamaged, id, cause)
}
