package storepack

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/replicate/pack"
)

// Read returns the frame at ref, checked. It may be shared with others and must not be changed. Errors: ErrNotFound
// when the pack is gone, ErrDamaged with what is wrong.
func (s *Store) Read(ref Ref) (*Frame, error) {
	if f := s.cache.get(ref); f != nil {
		return f, nil
	}
	typ, payload, err := s.ReadRaw(ref)
	if err != nil {
		return nil, err
	}
	f, err := DecodeFrame(typ, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: pack %d at %d: %w", ErrDamaged, ref.Pack, ref.At, err)
	}
	s.cache.put(ref, f)
	return f, nil
}

// ReadRaw returns type and payload of the frame at ref, its checksum checked. The caller owns the payload.
func (s *Store) ReadRaw(ref Ref) (uint8, []byte, error) {
	if ref.Len < pack.FrameHeadBytes || ref.Len > pack.MaxBytes {
		return 0, nil, fmt.Errorf("%w: pack %d at %d: frame of %d bytes", ErrDamaged, ref.Pack, ref.At, ref.Len)
	}
	h, err := s.files.get(ref.Pack)
	if err != nil {
		return 0, nil, err
	}
	defer h.release()
	b := make([]byte, ref.Len)
	if _, err := h.f.ReadAt(b, int64(ref.At)); err != nil {
		return 0, nil, fmt.Errorf("%w: read pack %d at %d+%d: %w", ErrDamaged, ref.Pack, ref.At, ref.Len, err)
	}
	fr, err := pack.ParseFrame(b, ref.At)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: pack %d: %w", ErrDamaged, ref.Pack, err)
	}
	if got := pack.FrameHeadBytes + len(fr.Payload); got != len(b) {
		return 0, nil, fmt.Errorf("%w: pack %d at %d: frame of %d bytes, want %d", ErrDamaged, ref.Pack, ref.At, got, ref.Len)
	}
	return fr.Type, fr.Payload, nil
}

func (s *Store) open(no uint32) (vfs.File, error) {
	f, err := s.opt.FS.Open(s.path(no))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %d", ErrNotFound, no)
	}
	if err != nil {
		return nil, fmt.Errorf("open store pack %d: %w", no, err)
	}
	return f, nil
}

// Scan calls f with every frame of pack no in order. Damage ends it with ErrDamaged; a torn end, which a crash leaves
// in a pack, is damage too, so the caller judges by what the index refers to.
func (s *Store) Scan(no uint32, f func(ref Ref, typ uint8, payload []byte) error) error {
	s.mu.Lock()
	i := s.packs[no]
	s.mu.Unlock()
	if i == nil {
		return fmt.Errorf("%w: %d", ErrNotFound, no)
	}
	h, err := s.files.get(no)
	if err != nil {
		return err
	}
	defer h.release()
	stat, err := h.f.Stat()
	if err != nil {
		return fmt.Errorf("store pack %d: %w", no, err)
	}
	for at := int64(pack.HeaderBytes); at < stat.Size(); {
		fr, err := pack.ReadFrame(h.f, uint32(min(stat.Size(), pack.MaxBytes)), uint32(at))
		if err != nil {
			return fmt.Errorf("%w: pack %d: %w", ErrDamaged, no, err)
		}
		n := int64(pack.FrameHeadBytes + len(fr.Payload))
		if err := f(Ref{Pack: no, At: uint32(at), Len: uint32(n)}, fr.Type, fr.Payload); err != nil {
			return err
		}
		at += n
	}
	return nil
}
