package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/weirstor/weir/intercept/vfs"
)

// Layout of the file: two slots of SlotBytes, each a header of HeaderBytes and an encoded State.
const (
	FileName    = "checkpoint"
	SlotBytes   = 1 << 20
	HeaderBytes = 64
	magic       = "WEIRCKPT"

	offVersion    = 8
	offCRC        = 12
	offGeneration = 16
	offLength     = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Store is an open checkpoint file. It is used by one goroutine at a time.
type Store struct {
	file vfs.File
	next uint64 // generation of the next write; its lowest bit is the slot
}

// Create makes the checkpoint file of a new group in dir, holding s. It is durable, name included, on return: this is
// what makes the folder a group.
func Create(fs vfs.FS, dir string, s *State) (*Store, error) {
	name := filepath.Join(dir, FileName)
	_ = fs.Remove(name + ".new") // left by a creation that a crash ended
	f, err := fs.Create(name + ".new")
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	st := &Store{file: f, next: 1}
	err = f.Truncate(2 * SlotBytes)
	if err == nil {
		err = st.Write(s)
	}
	if err == nil {
		err = fs.Rename(name+".new", name)
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return st, nil
}

// Open opens the checkpoint file in dir and returns the newest state in it. ErrCorrupt: no slot is valid.
func Open(fs vfs.FS, dir string) (*Store, State, error) {
	f, err := fs.Open(filepath.Join(dir, FileName))
	if err != nil {
		return nil, State{}, fmt.Errorf("checkpoint: %w", err)
	}
	s, err := newest(f)
	if err != nil {
		f.Close()
		return nil, State{}, err
	}
	return &Store{file: f, next: s.Generation + 1}, s, nil
}

// newest returns the valid state with the highest generation.
func newest(f vfs.Reader) (State, error) {
	var best State
	var found bool
	var bad [2]error
	for slot := range bad {
		s, err := readSlot(f, slot)
		if errors.Is(err, ErrVersion) {
			return State{}, err
		}
		if bad[slot] = err; err == nil && (!found || s.Generation > best.Generation) {
			best, found = s, true
		}
	}
	if !found {
		return State{}, fmt.Errorf("neither slot is valid: %w; %w", bad[0], bad[1])
	}
	return best, nil
}

func readSlot(f vfs.Reader, slot int) (State, error) {
	b := make([]byte, HeaderBytes)
	if n, err := f.ReadAt(b, int64(slot)*SlotBytes); err != nil {
		return State{}, fmt.Errorf("%w: slot %d: %d bytes read: %w", ErrCorrupt, slot, n, err)
	}
	if n := binary.LittleEndian.Uint64(b[offLength:]); n <= SlotBytes-HeaderBytes {
		b = append(b, make([]byte, n)...)
	}
	if n, err := f.ReadAt(b, int64(slot)*SlotBytes); err != nil {
		return State{}, fmt.Errorf("%w: slot %d: %d bytes read: %w", ErrCorrupt, slot, n, err)
	}
	s, err := DecodeSlot(b)
	if err != nil {
		return State{}, fmt.Errorf("slot %d: %w", slot, err)
	}
	if int(s.Generation&1) != slot {
		return State{}, fmt.Errorf("%w: generation %d in slot %d", ErrCorrupt, s.Generation, slot)
	}
	return s, nil
}

// DecodeSlot reads one slot.
func DecodeSlot(b []byte) (State, error) {
	if len(b) < HeaderBytes || string(b[:len(magic)]) != magic {
		return State{}, fmt.Errorf("%w: not a checkpoint", ErrCorrupt)
	}
	le := binary.LittleEndian
	if v := le.Uint32(b[offVersion:]); v > Version {
		return State{}, fmt.Errorf("%w: format %d, this one knows %d", ErrVersion, v, Version)
	}
	n := le.Uint64(b[offLength:])
	if n > uint64(len(b)-HeaderBytes) {
		return State{}, fmt.Errorf("%w: %d bytes claimed", ErrCorrupt, n)
	}
	b = b[:HeaderBytes+n]
	if want, got := le.Uint32(b[offCRC:]), slotCRC(b); want != got {
		return State{}, fmt.Errorf("%w: checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	s, err := Decode(b[HeaderBytes:])
	if err == nil && s.Generation != le.Uint64(b[offGeneration:]) {
		err = fmt.Errorf("%w: generation %d, header says otherwise", ErrCorrupt, s.Generation)
	}
	return s, err
}

// slotCRC covers header and content, the field itself taken as zero.
func slotCRC(b []byte) uint32 {
	c := crc32.Checksum(b[:offCRC], castagnoli)
	c = crc32.Update(c, castagnoli, []byte{0, 0, 0, 0})
	return crc32.Update(c, castagnoli, b[offCRC+4:])
}

// Write makes s, with the next generation, the newest state. It is durable on return. After an error the file holds s
// or the state before.
func (st *Store) Write(s *State) error {
	s.Generation = st.next
	content := s.Encode()
	if len(content) > SlotBytes-HeaderBytes {
		return fmt.Errorf("checkpoint of %d bytes, at most %d", len(content), SlotBytes-HeaderBytes)
	}
	b := make([]byte, HeaderBytes, HeaderBytes+len(content))
	b = append(b, content...)
	le := binary.LittleEndian
	copy(b, magic)
	le.PutUint32(b[offVersion:], Version)
	le.PutUint64(b[offGeneration:], s.Generation)
	le.PutUint64(b[offLength:], uint64(len(content)))
	le.PutUint32(b[offCRC:], slotCRC(b))
	if _, err := st.file.WriteAt(b, int64(s.Generation&1)*SlotBytes); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := st.file.Datasync(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	st.next++
	return nil
}

// Close closes the file.
func (st *Store) Close() error { return st.file.Close() }
