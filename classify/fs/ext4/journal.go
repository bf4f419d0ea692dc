package ext4

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/weirstor/weir/classify/fs"
)

// Block types and flags of the journal ("Journal (jbd2)"). Everything in it is big-endian.
const (
	jbdMagic      = 0xc03b3998
	jbdDescriptor = 1
	jbdCommit     = 2
	jbdSuperV1    = 3
	jbdSuperV2    = 4
	jbdRevoke     = 5

	jbdIncompat64Bit  = 0x2
	jbdIncompatCsumV2 = 0x8
	jbdIncompatCsumV3 = 0x10

	tagEscaped = 0x1 // the first four bytes were the magic number and are kept as zeroes
	tagSameID  = 0x2 // no UUID follows
	tagLast    = 0x8

	maxJournalBytes = 4 << 30
)

// Replayed returns r as a mount would show it: blocks that committed transactions of the journal hold, and that are not
// in their place yet, lie over it. The number of them is returned too. Without a journal, or with an empty one, it is r
// itself. Descriptor checksums are not looked at: a transaction counts when its commit block is there, and the walk ends
// at the first block that is out of sequence, as in recovery.
func (f *FileSystem) Replayed() (fs.View, int, error) {
	ino, err := f.journalFile(fs.NewFuel(maxNodes))
	if err != nil || ino == nil {
		return f.r, 0, err
	}
	j := &journal{f: f, runs: ino.Runs, places: map[uint64]place{}}
	ok, err := j.open()
	if err != nil || !ok {
		return f.r, 0, err
	}
	if err := j.scan(); err != nil {
		return f.r, 0, err
	}
	if len(j.places) == 0 {
		return f.r, 0, nil
	}
	return newOverlay(f, j.places), len(j.places), nil
}

// place is where the journal holds the newest content of a block.
type place struct {
	off      int64
	sequence uint32
	escaped  bool
}

// journal walks the transactions that recovery would replay.
type journal struct {
	f        *FileSystem
	runs     []fs.Run
	incompat uint32
	first    uint64 // block of the journal at which the ring begins
	end      uint64 // and ends
	start    uint64 // block of the oldest transaction
	sequence uint32 // of the oldest transaction

	places map[uint64]place
}

// open reads the journal's superblock; false means that there is nothing to replay.
func (j *journal) open() (bool, error) {
	b, err := j.read(0)
	if err != nil || b == nil {
		return false, err
	}
	kind := be32(b, 4)
	if be32(b, 0) != jbdMagic || kind != jbdSuperV1 && kind != jbdSuperV2 || int64(be32(b, 12)) != j.f.block {
		return false, nil
	}
	j.end, j.first = uint64(be32(b, 16)), uint64(be32(b, 20))
	j.sequence, j.start = be32(b, 24), uint64(be32(b, 28))
	if kind == jbdSuperV2 {
		j.incompat = be32(b, 40)
	}
	ok := j.start >= j.first && j.start < j.end && j.first > 0 && j.end*uint64(j.f.block) <= maxJournalBytes
	return ok, nil
}

// scan follows the ring from the oldest transaction to the first block that does not belong.
func (j *journal) scan() error {
	at, sequence := j.start, j.sequence
	pending := map[uint64]place{}
	var revokes []uint64
	for range j.end - j.first {
		b, err := j.read(at)
		if err != nil {
			return err
		}
		if b == nil || be32(b, 0) != jbdMagic || be32(b, 8) != sequence {
			return nil
		}
		next := j.after(at, 1)
		switch be32(b, 4) {
		case jbdDescriptor:
			next = j.after(next, j.descriptor(b, next, sequence, pending))
		case jbdRevoke:
			revokes = j.revokes(b, revokes)
		case jbdCommit:
			j.commit(sequence, pending, revokes)
			pending, revokes = map[uint64]place{}, nil
			sequence++
		default:
			return nil
		}
		at = next
	}
	return nil
}

// descriptor notes the blocks that follow a descriptor block and returns how many there are.
func (j *journal) descriptor(b []byte, data uint64, sequence uint32, pending map[uint64]place) uint64 {
	limit := len(b)
	if j.incompat&(jbdIncompatCsumV2|jbdIncompatCsumV3) != 0 {
		limit -= 4 // the tail holds a checksum
	}
	n := uint64(0)
	for at := 12; ; {
		block, flags, size := j.tag(b[:limit], at)
		if size == 0 {
			return n
		}
		off, ok := j.offset(j.after(data, n))
		if ok && block < j.f.blocks {
			pending[block] = place{off: off, sequence: sequence, escaped: flags&tagEscaped != 0}
		}
		n++
		at += size
		if flags&tagSameID == 0 {
			at += 16
		}
		if flags&tagLast != 0 {
			return n
		}
	}
}

// tag reads the block tag at an offset of a descriptor block; size 0 means that there is none.
func (j *journal) tag(b []byte, at int) (block uint64, flags uint32, size int) {
	size = j.tagBytes()
	if at+size > len(b) {
		return 0, 0, 0
	}
	block = uint64(be32(b, at))
	if j.incompat&jbdIncompatCsumV3 != 0 {
		flags = be32(b, at+4)
	} else {
		flags = uint32(binary.BigEndian.Uint16(b[at+6:]))
	}
	if j.incompat&jbdIncompat64Bit != 0 {
		block |= uint64(be32(b, at+8)) << 32
	}
	return block, flags, size
}

func (j *journal) tagBytes() int {
	if j.incompat&jbdIncompatCsumV3 != 0 {
		return 16
	}
	size := 8
	if j.incompat&jbdIncompatCsumV2 != 0 {
		size += 2
	}
	if j.incompat&jbdIncompat64Bit != 0 {
		size += 4
	}
	return size
}

func (j *journal) revokes(b []byte, to []uint64) []uint64 {
	size, end := 4, min(int(be32(b, 12)), len(b))
	if j.incompat&jbdIncompat64Bit != 0 {
		size = 8
	}
	for at := 16; at+size <= end; at += size {
		if size == 8 {
			to = append(to, binary.BigEndian.Uint64(b[at:]))
		} else {
			to = append(to, uint64(be32(b, at)))
		}
	}
	return to
}

// commit makes a transaction's blocks count. What it revokes was logged by itself or before; a later transaction may
// log the block again.
func (j *journal) commit(sequence uint32, pending map[uint64]place, revokes []uint64) {
	maps.Copy(j.places, pending)
	for _, block := range revokes {
		if p, ok := j.places[block]; ok && int32(p.sequence-sequence) <= 0 {
			delete(j.places, block)
		}
	}
}

func (j *journal) after(at, n uint64) uint64 {
	return j.first + (at-j.first+n)%(j.end-j.first)
}

// offset is where block n of the journal lies.
func (j *journal) offset(n uint64) (int64, bool) {
	at := int64(n) * j.f.block
	i, found := slices.BinarySearchFunc(j.runs, at, func(r fs.Run, at int64) int {
		switch {
		case r.File+r.Len <= at:
			return -1
		case r.File > at:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false
	}
	return j.runs[i].Off + at - j.runs[i].File, true
}

// read returns block n of the journal, nil if it is out of place.
func (j *journal) read(n uint64) ([]byte, error) {
	off, ok := j.offset(n)
	if !ok {
		return nil, nil
	}
	b := make([]byte, j.f.block)
	if err := j.f.r.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("ext4 journal block %d: %w", n, err)
	}
	return b, nil
}

func be32(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
