package packs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/weirstor/weir/replicate/pack"
)

// Get returns the whole pack, checked against its ID; the caller owns the bytes. Errors: ErrNotFound, or ErrDamaged
// with what is wrong, after which Has denies the pack and Put replaces it.
func (s *Store) Get(id pack.ID) ([]byte, error) {
	o, err := s.open(id)
	if err != nil {
		return nil, err
	}
	defer o.release()
	b := make([]byte, o.size)
	if _, err := io.ReadFull(io.NewSectionReader(o, 0, int64(o.size)), b); err != nil {
		return nil, s.damaged(id, o.entry, err)
	}
	if _, err := pack.Open(b, id); err != nil {
		return nil, s.damaged(id, o.entry, err)
	}
	return b, nil
}

// ReadFrame returns the one frame at offset at of the pack, its checksum checked; the caller owns the payload. Errors
// as for Get. Only the frame is read, so damage elsewhere in the pack goes unnoticed.
func (s *Store) ReadFrame(id pack.ID, at uint32) (pack.Frame, error) {
	o, err := s.open(id)
	if err != nil {
		return pack.Frame{}, err
	}
	defer o.release()
	fr, err := pack.ReadFrame(o, o.size, at)
	if err != nil {
		return pack.Frame{}, s.damaged(id, o.entry, err)
	}
	return fr, nil
}

// opened is a pack being read.
type opened struct {
	io.ReaderAt
	entry
	release func()
}

func (s *Store) open(id pack.ID) (opened, error) {
	s.mu.Lock()
	e, ok := s.have[id]
	var seg *segment
	if ok && e.place.no != 0 {
		seg = s.landing.pin(e.place)
	}
	s.mu.Unlock()
	if !ok {
		return opened{}, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if seg != nil {
		r := io.NewSectionReader(seg.f, int64(e.place.at)+recordHeadBytes, int64(e.size))
		return opened{r, e, func() { s.landing.unpin(seg) }}, nil
	}
	f, err := s.opt.FS.Open(s.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return opened{}, s.lost(id, e)
	}
	if err != nil {
		return opened{}, fmt.Errorf("open pack %s: %w", id, err)
	}
	return opened{f, e, func() { _ = f.Close() }}, nil // read only
}

// lost tells a pack that was deleted just now from one whose file is gone.
func (s *Store) lost(id pack.ID, e entry) error {
	s.mu.Lock()
	_, ok := s.have[id]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	return s.damaged(id, e, errors.New("its file is gone"))
}

// damaged marks the pack, which was read as e, so that a good copy can replace it.
func (s *Store) damaged(id pack.ID, e entry, cause error) error {
	s.mu.Lock()
	if s.have[id] == e {
		e.damaged = true
		s.have[id] = e
	}
	s.mu.Unlock()
	s.opt.Logger.Error("pack store: damaged pack", "pack", id, "err", cause)
	return fmt.Errorf("%w: %s: %w", ErrDamaged, id, cause)
}
