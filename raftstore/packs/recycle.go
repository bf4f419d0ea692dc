package packs

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

const (
	segmentSuffix = ".land"
	newSuffix     = ".new" // a file without content that matters
)

// From sealedMin sealed segments on, the emptiest one is emptied when less than one part in sealedShare of all is live.
const (
	sealedMin   = 8
	sealedShare = 4
)

func (l *landing) path(no uint32, suffix string) string {
	return l.fs.PathJoin(l.dir, fmt.Sprintf("%08x%s", no, suffix))
}

func parseSegmentName(name, suffix string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	no, err := strconv.ParseUint(digits, 16, 32)
	return uint32(no), ok && err == nil && len(digits) == 8 && no > 0
}

// pin keeps the segment of a pack from being used again until unpin.
func (l *landing) pin(p place) *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.segments[p.no]
	s.readers++
	return s
}

func (l *landing) unpin(s *segment) {
	l.mu.Lock()
	s.readers--
	dead := l.deadLocked(s)
	l.mu.Unlock()
	if dead {
		l.retire([]*segment{s})
	}
}

// free says that the pack of size bytes at p is not needed there any more.
func (l *landing) free(p place, size uint32) {
	l.mu.Lock()
	s := l.segments[p.no]
	s.live--
	s.bytes -= int64(size)
	dead := l.deadLocked(s)
	l.mu.Unlock()
	if dead {
		l.retire([]*segment{s})
	}
}

// deadLocked reports whether nobody needs the segment any more, and takes it out of the log then.
func (l *landing) deadLocked(s *segment) bool {
	if !s.sealed || s.live > 0 || s.readers > 0 || l.closed || l.segments[s.no] != s {
		return false
	}
	delete(l.segments, s.no)
	return true
}

// retire gives the files of dead segments a name by which they are used again, or removes them. If that fails, or a
// crash undoes it, the segment is back at the next start with packs that are whole.
func (l *landing) retire(dead []*segment) {
	for _, s := range dead {
		name, spare := l.path(s.no, segmentSuffix), l.path(s.no, newSuffix)
		err := s.f.Close()
		l.mu.Lock()
		keep := len(l.spares) < sparesMax
		if err == nil && keep {
			if err = l.fs.Rename(name, spare); err == nil {
				l.spares, l.renamed = append(l.spares, spare), true
			}
		}
		l.mu.Unlock()
		if err == nil && !keep {
			err = durable.Remove(l.fs, name)
		}
		if err != nil {
			l.log.Warn("pack store: a segment of the landing log is not freed", "segment", s.no, "err", err)
		}
	}
}

// deleted has a deletion written down with the next packs, unless very many wait for a slow write: they must fit into a
// segment with the packs. A pack whose deletion is not written may be back at the next start, whole.
func (l *landing) deleted(id pack.ID) {
	l.mu.Lock()
	if l.closed || len(l.tombs) == tombsHeld {
		l.mu.Unlock()
		return
	}
	l.tombs = append(l.tombs, id)
	lead := len(l.tombs) >= tombsMax && !l.running
	if lead {
		l.running = true
	}
	l.mu.Unlock()
	if lead {
		l.lead()
	}
}

// LandingBytes returns the size of the files of the landing log, at most.
func (s *Store) LandingBytes() int64 {
	l := s.landing
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.segments)+len(l.spares)) * l.segmentBytes
}

// victim returns the sealed segment that should be emptied; ok is false when the log is dense enough.
func (l *landing) victim() (no uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sealed []*segment
	live := int64(0)
	for _, s := range l.segments {
		if s.sealed {
			sealed = append(sealed, s)
			live += s.bytes
		}
	}
	if len(sealed) < sealedMin || live*sealedShare >= int64(len(sealed))*l.segmentBytes {
		return 0, false
	}
	return slices.MinFunc(sealed, func(a, b *segment) int { return cmp.Compare(a.bytes, b.bytes) }).no, true
}

// condense moves the packs of a segment that is mostly dead, so that the segment can be used again.
func (s *Store) condense() {
	no, ok := s.landing.victim()
	if !ok {
		return
	}
	var ids []pack.ID
	s.mu.Lock()
	if s.condensing {
		s.mu.Unlock()
		return
	}
	s.condensing = true
	for id, e := range s.have {
		if e.place.no == no {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		if err := s.move(id, no); err != nil {
			s.opt.Logger.Warn("pack store: move a pack within the landing log", "pack", id, "err", err)
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.condensing = false
}

// move writes a pack of segment no to the end of the log. A damaged one is forgotten, as if it had not been put.
func (s *Store) move(id pack.ID, no uint32) error {
	defer s.take(id)()
	s.mu.Lock()
	here := s.have[id].place.no == no
	s.mu.Unlock()
	if !here {
		return nil
	}
	b, err := s.Get(id)
	if err != nil {
		s.drop(id)
		return err
	}
	p, err := s.landing.append(id, b)
	if err != nil {
		return err
	}
	s.enter(id, entry{size: uint32(len(b)), place: p})
	return nil
}
