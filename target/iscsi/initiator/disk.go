package initiator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// attentions is how many unit attentions ready lets pass.
const attentions = 16

// ready waits until the unit has said all that it has to say to a new nexus.
func (s *Session) ready() error {
	for range attentions {
		r, err := s.Command(make([]byte, 6), nil, nil) // TEST UNIT READY
		if err != nil {
			return err
		}
		var e *StatusError
		if !errors.As(r.Err(), &e) {
			return nil
		}
		if e.Code().Key() != scsi.KeyUnitAttention {
			return e
		}
	}
	return fmt.Errorf("%w: more than %d unit attentions", ErrProtocol, attentions)
}

// readCapacity notes the capacity that ReadAt, WriteAt and Size go by.
func (s *Session) readCapacity() error {
	var err error
	s.size, s.blockSize, err = s.Capacity()
	return err
}

// Capacity asks for the size in bytes and the logical block size: READ CAPACITY (16) (SBC-3, section 5.16).
func (s *Session) Capacity() (size int64, blockSize int, err error) {
	var in [32]byte
	r, err := s.Command([]byte{0: 0x9e, 1: 0x10, 13: 32, 15: 0}, nil, in[:])
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading the capacity: %w", err)
	}
	blocks := binary.BigEndian.Uint64(in[:]) + 1
	blockSize = int(binary.BigEndian.Uint32(in[8:]))
	if blockSize < 512 || blockSize > 1<<16 || blocks > 1<<62/uint64(blockSize) {
		return 0, 0, fmt.Errorf("%w: %d blocks of %d bytes", ErrProtocol, blocks, blockSize)
	}
	return int64(blocks) * int64(blockSize), blockSize, nil
}

// transferMax is the longest single READ or WRITE, in bytes. Longer calls take several.
const transferMax = 1 << 20

// ReadAt fills p from off. Both are multiples of the block size. After an error the content of p is unspecified.
func (s *Session) ReadAt(p []byte, off int64) error {
	return s.pieces(p, off, func(part []byte, at int64) error {
		cdb := s.cdb16(0x88, 0, at, len(part))
		return s.move("read", cdb, nil, part, at)
	})
}

// WriteAt stores p at off. Both are multiples of the block size. With fua the write is on stable storage on return.
func (s *Session) WriteAt(p []byte, off int64, fua bool) error {
	var flags byte
	if fua {
		flags = 0x08
	}
	return s.pieces(p, off, func(part []byte, at int64) error {
		cdb := s.cdb16(0x8a, flags, at, len(part))
		return s.move("write", cdb, part, nil, at)
	})
}

// Sync returns after every write that was answered before is on stable storage: SYNCHRONIZE CACHE (16).
func (s *Session) Sync() error {
	r, err := s.Command([]byte{0: 0x91, 15: 0}, nil, nil)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

func (s *Session) pieces(p []byte, off int64, f func(part []byte, at int64) error) error {
	bs := int64(s.blockSize)
	if off%bs != 0 || int64(len(p))%bs != 0 {
		return fmt.Errorf("%d+%d is not aligned to blocks of %d bytes", off, len(p), bs)
	}
	for len(p) > 0 {
		part := p[:min(len(p), transferMax)]
		if err := f(part, off); err != nil {
			return err
		}
		p, off = p[len(part):], off+int64(len(part))
	}
	return nil
}

func (s *Session) cdb16(op, flags byte, off int64, n int) [16]byte {
	cdb := [16]byte{op, flags}
	binary.BigEndian.PutUint64(cdb[2:], uint64(off/int64(s.blockSize)))
	binary.BigEndian.PutUint32(cdb[10:], uint32(n/s.blockSize))
	return cdb
}

func (s *Session) move(what string, cdb [16]byte, out, in []byte, at int64) error {
	c := s.newCall()
	defer callPool.Put(c)
	err := s.command(c, s.lun(), cdb[:], out, in)
	if err == nil && scsi.Status(c.answer[3]) != scsi.Good {
		err = c.result().Err()
	}
	if err == nil && c.got != len(in) {
		err = fmt.Errorf("%w: %d bytes came, want %d", ErrProtocol, c.got, len(in))
	}
	if err != nil {
		return fmt.Errorf("%s at %d: %w", what, at, err)
	}
	return nil
}
