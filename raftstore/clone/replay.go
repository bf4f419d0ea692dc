package clone

import (
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// run is count blocks from block first on.
type run struct{ first, count uint64 }

// replayed is what a map says.
type replayed struct {
	settled *roaring64.Bitmap   // blocks that are in the data file for certain
	sums    map[uint64][]uint32 // others that were written: checksums of which one must be that of the content
	zeroes  []run               // others that were made zero
}

// replay reads the records of a map file b whose header is h. What stands behind the last commit may be cut off
// anywhere; damage before it is ErrDamaged.
func replay(b []byte, h *header) (*replayed, error) {
	type entry struct {
		at int64
		record
	}
	var list []entry
	commit := int64(-1)
	seed, at := h.seed(), int64(headerBytes)
	for at < int64(len(b)) {
		r, n, ok := parseRecord(b[at:], seed, at)
		if !ok {
			break
		}
		if r.kind == recordCommit {
			if r.first > uint64(at) || int64(r.first) < commit {
				return nil, fmt.Errorf("%w: commit at %d of the map is of offset %d", ErrDamaged, at, r.first)
			}
			commit = int64(r.first)
		}
		list = append(list, entry{at, r})
		at += int64(n)
	}
	if commit < 0 || durable(b, seed, at) {
		return nil, fmt.Errorf("%w: bad record at %d of a map of %d bytes", ErrDamaged, at, len(b))
	}
	s := &replayed{settled: roaring64.New(), sums: make(map[uint64][]uint32)}
	blocks := blockCount(h.size)
	for _, e := range list {
		if err := s.take(e.record, e.at < commit, blocks); err != nil {
			return nil, fmt.Errorf("record at %d of the map: %w", e.at, err)
		}
	}
	return s, nil
}

// durable reports whether a record behind offset at says that what stands at that offset had been on stable storage: then
// the record there is damaged, and not the end of what was written. A commit alone does not say so: power may have been
// lost while it was made durable, and it have got there first.
func durable(b []byte, seed uint32, at int64) bool {
	for from := at; at+recordBytes <= int64(len(b)); at += recordAlign {
		if b[at+4] != recordDurable {
			continue
		}
		if r, _, ok := parseRecord(b[at:], seed, at); ok && r.first > uint64(from) {
			return true
		}
	}
	return false
}

// take carries one record over. committed says that a commit covers it.
func (s *replayed) take(r record, committed bool, blocks uint64) error {
	switch r.kind {
	case recordRuns:
		return s.takeRuns(r, blocks)
	case recordData:
		n := uint64(len(r.body) / 4)
		if err := inside(r.first, n, blocks); err != nil || len(r.body)%4 != 0 {
			return fmt.Errorf("%w: checksums of %d bytes (%v)", ErrDamaged, len(r.body), err)
		}
		if committed {
			s.settled.AddRange(r.first, r.first+n)
			return nil
		}
		for i := range n {
			s.sums[r.first+i] = append(s.sums[r.first+i], binary.LittleEndian.Uint32(r.body[4*i:]))
		}
	case recordZero:
		if len(r.body) != 8 {
			return fmt.Errorf("%w: run of zeroes in %d bytes", ErrDamaged, len(r.body))
		}
		n := binary.LittleEndian.Uint64(r.body)
		if err := inside(r.first, n, blocks); err != nil {
			return err
		}
		if committed {
			s.settled.AddRange(r.first, r.first+n)
		} else {
			s.zeroes = append(s.zeroes, run{r.first, n})
		}
	case recordCommit, recordDurable:
	default:
		return fmt.Errorf("%w: kind %d is not known", ErrDamaged, r.kind)
	}
	return nil
}

func (s *replayed) takeRuns(r record, blocks uint64) error {
	at := r.first
	for b := r.body; len(b) > 0; {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: bad number in runs", ErrDamaged)
		}
		count, k := binary.Uvarint(b[n:])
		if k <= 0 || gap > blocks {
			return fmt.Errorf("%w: bad number in runs", ErrDamaged)
		}
		if err := inside(at+gap, count, blocks); err != nil {
			return err
		}
		s.settled.AddRange(at+gap, at+gap+count)
		at, b = at+gap+count, b[n+k:]
	}
	return nil
}

func inside(first, count, blocks uint64) error {
	if count == 0 || first >= blocks || count > blocks-first {
		return fmt.Errorf("%w: blocks %d+%d of %d", ErrDamaged, first, count, blocks)
	}
	return nil
}
