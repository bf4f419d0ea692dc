package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/packs/durable"
)

// Sizes and marks of the sidecar, docs/format-store.md.
const (
	sidecarVersion  = 1
	sidecarBytesMax = 256 << 20
	sidecarFixed    = 8 + 4 + 3*16 + 2*markBytes
	markBytes       = 1 + 8 + 16 + 8 + 32 + 8
)

var sidecarMagic = [8]byte{'W', 'E', 'I', 'R', 'D', 'I', 'S', 'K'}

// phase is what a sidecar says of its disk.
type phase uint8

const (
	phaseClean    phase = 1 // shows From
	phaseApplying phase = 2 // between From and To; only the blocks of the list differ from From
	phaseConflict phase = 3 // shows From but for the blocks of the list
)

// mark is a point, and the size that the volume has there.
type mark struct {
	Known  bool // false: whatever was on the disk when it was adopted
	Number uint64
	Point  ident.Point // zero with Known: nothing but zeroes
	Size   int64       // bytes
}

// sidecar is the identity and state of a disk.
type sidecar struct {
	Phase    phase
	Disk     ident.UUID
	Group    ident.GroupID
	Volume   ident.VolumeID
	From, To mark
	Blocks   runs
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (m *mark) append(b []byte) []byte {
	known := byte(0)
	if m.Known {
		known = 1
	}
	b = append(b, known)
	b = binary.LittleEndian.AppendUint64(b, m.Number)
	b = append(b, m.Point.Timeline.UUID[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Point.End))
	b = append(b, m.Point.Digest[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(m.Size))
}

func (m *mark) parse(b []byte, g ident.GroupID) error {
	if b[0] > 1 {
		return fmt.Errorf("%w: flag %d of a point", ErrSidecar, b[0])
	}
	m.Known = b[0] == 1
	m.Number = binary.LittleEndian.Uint64(b[1:])
	copy(m.Point.Timeline.UUID[:], b[9:])
	m.Point.End = ident.Seq(binary.LittleEndian.Uint64(b[25:]))
	copy(m.Point.Digest[:], b[33:])
	if m.Point != (ident.Point{}) {
		m.Point.Group = g
	}
	if m.Size = int64(binary.LittleEndian.Uint64(b[65:])); m.Size < 0 {
		return fmt.Errorf("%w: size %d", ErrSidecar, m.Size)
	}
	return nil
}

func (s *sidecar) encode() []byte {
	b := make([]byte, 0, sidecarFixed+len(s.Blocks)*4+16)
	b = append(b, sidecarMagic[:]...)
	b = append(b, sidecarVersion, byte(s.Phase), 0, 0)
	b = append(b, s.Disk[:]...)
	b = append(b, s.Group.UUID[:]...)
	b = append(b, s.Volume.UUID[:]...)
	b = s.To.append(s.From.append(b))
	b = binary.AppendUvarint(b, uint64(len(s.Blocks)))
	last := uint64(0)
	for _, r := range s.Blocks {
		b = binary.AppendUvarint(b, r.First-last)
		b = binary.AppendUvarint(b, r.Count)
		last = r.First + r.Count
	}
	return appendSum(b)
}

func appendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeSidecar(b []byte) (*sidecar, error) {
	if len(b) < sidecarFixed+5 {
		return nil, fmt.Errorf("%w: %d bytes, want at least %d", ErrSidecar, len(b), sidecarFixed+5)
	}
	if [8]byte(b[:8]) != sidecarMagic {
		return nil, fmt.Errorf("%w: magic is %q, want %q", ErrSidecar, b[:8], sidecarMagic[:])
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("%w: checksum is %08x, want %08x", ErrSidecar, got, sum)
	}
	if b[8] != sidecarVersion {
		return nil, fmt.Errorf("%w: version %d, this build reads %d", ErrSidecar, b[8], sidecarVersion)
	}
	s := &sidecar{Phase: phase(b[9])}
	if s.Phase < phaseClean || s.Phase > phaseConflict {
		return nil, fmt.Errorf("%w: state %d", ErrSidecar, b[9])
	}
	copy(s.Disk[:], b[12:])
	copy(s.Group.UUID[:], b[28:])
	copy(s.Volume.UUID[:], b[44:])
	if err := s.From.parse(b[60:], s.Group); err != nil {
		return nil, err
	}
	if err := s.To.parse(b[60+markBytes:], s.Group); err != nil {
		return nil, err
	}
	return s, s.parseBlocks(body[sidecarFixed:])
}

func (s *sidecar) parseBlocks(b []byte) error {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)) {
		return fmt.Errorf("%w: %d runs in %d bytes", ErrSidecar, n, len(b))
	}
	b = b[k:]
	last := uint64(0)
	for range n {
		gap, k := binary.Uvarint(b)
		if k <= 0 || gap > 1<<52 {
			return fmt.Errorf("%w: gap of a run of blocks", ErrSidecar)
		}
		count, j := binary.Uvarint(b[k:])
		if j <= 0 || count == 0 || count > 1<<52 || last+gap+count > 1<<52 || (gap == 0 && last > 0) {
			return fmt.Errorf("%w: run of %d blocks %d behind %d", ErrSidecar, count, gap, last)
		}
		s.Blocks = append(s.Blocks, run{last + gap, count})
		last += gap + count
		b = b[k+j:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %d bytes behind the list of blocks", ErrSidecar, len(b))
	}
	return nil
}

// loadSidecar returns nil, nil if there is none.
func loadSidecar(fsys vfs.FS, path string) (*sidecar, error) {
	b, err := durable.ReadFile(fsys, path, sidecarBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	s, err := decodeSidecar(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// store makes the sidecar durable in place of the one before.
func (s *sidecar) store(fsys vfs.FS, path string) error {
	b := s.encode()
	if len(b) > sidecarBytesMax {
		return fmt.Errorf("sidecar of %d bytes, at most %d", len(b), sidecarBytesMax)
	}
	if err := durable.WriteFile(fsys, path, path+".tmp", b); err != nil {
		return fmt.Errorf("sidecar: %w", err)
	}
	return nil
}
