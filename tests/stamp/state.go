package stamp

import "fmt"

// State is what was found: the write that each block shows. Blocks of zeroes are absent.
type State map[Place]ID

// Reader reads a volume.
type Reader interface {
	ReadAt(p []byte, off int64) error
}

// ReadState adds to s the stamps of a volume of size bytes that r reads. An error names the first block that is not
// whole: torn, misplaced, or of another history.
func (h *History) ReadState(s State, volume uint32, r Reader, size int64) error {
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		p := buf[:min(int64(len(buf)), size-off)]
		if err := r.ReadAt(p, off); err != nil {
			return fmt.Errorf("read volume %d at %d+%d: %w", volume, off, len(p), err)
		}
		for i := 0; i+BlockSize <= len(p); i += BlockSize {
			place := Place{volume, (off + int64(i)) / BlockSize}
			id, err := read(p[i:i+BlockSize], h.seed, place)
			if err != nil {
				return err
			}
			if id != 0 {
				s[place] = id
			}
		}
	}
	return nil
}
