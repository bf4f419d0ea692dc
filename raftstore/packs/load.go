package packs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/weirstor/weir/raftstore/packs/durable"
	"github.com/weirstor/weir/replicate/pack"
)

// load finds the packs that are there. What a process that ended between a write and its fsync has left reads whole, and
// is not on stable storage: it is made so, for Put takes what is here for durable.
func (s *Store) load() error {
	if err := durable.SyncDir(s.opt.FS, s.dir); err != nil {
		return err
	}
	folders, err := s.opt.FS.List(s.dir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if _, err := strconv.ParseUint(folder, 16, 8); err != nil || len(folder) != 2 {
			continue
		}
		if err := durable.SyncDir(s.opt.FS, s.path(folder)); err != nil {
			return err
		}
		names, err := s.opt.FS.List(s.path(folder))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := s.loadFile(folder, name); err != nil {
				return err
			}
		}
	}
	return s.loadLanding()
}

func (s *Store) loadFile(folder, name string) error {
	id, err := pack.ParseID(name)
	if err != nil {
		s.opt.Logger.Warn("pack store: file is not a pack, left alone", "file", s.path(folder, name))
		return nil
	}
	info, err := s.opt.FS.Stat(s.path(folder, name))
	if err != nil {
		return err
	}
	e := entry{size: uint32(min(info.Size(), pack.MaxBytes+1))}
	e.damaged = info.Size() > pack.MaxBytes || info.Size() < pack.HeaderBytes
	s.have[id] = e
	s.bytes += int64(e.size)
	return nil
}

// loadLanding reads the landing log. Its segments are not written to any more.
func (s *Store) loadLanding() error {
	l := s.landing
	if err := durable.SyncDir(l.fs, l.dir); err != nil {
		return err
	}
	names, err := l.fs.List(l.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	var found []*loaded
	for _, name := range names {
		if no, ok := parseSegmentName(name, newSuffix); ok {
			l.next = max(l.next, no+1)
			if err := l.keepSpare(l.path(no, newSuffix)); err != nil {
				return err
			}
		}
		no, ok := parseSegmentName(name, segmentSuffix)
		if !ok {
			continue
		}
		l.next = max(l.next, no+1)
		g, err := l.read(no)
		if errors.Is(err, errSegment) {
			s.opt.Logger.Error("pack store: the packs of a segment are lost here", "file", l.path(no, segmentSuffix), "err", err)
			continue
		}
		if err != nil {
			return err
		}
		found = append(found, g)
		l.segments[no] = g.segment
	}
	s.replay(found)
	return nil
}

// loaded is a segment with what was found in it.
type loaded struct {
	*segment
	head    segmentHead
	records []record
	gaps    []gap
	synced  uint32
}

func (l *landing) keepSpare(name string) error {
	if len(l.spares) < sparesMax {
		l.spares, l.renamed = append(l.spares, name), true
		return nil
	}
	return durable.Remove(l.fs, name)
}

// read reads a segment and makes durable what was read. Its head was durable before it got its name, so a bad one is
// damage.
func (l *landing) read(no uint32) (*loaded, error) {
	f, err := l.fs.OpenReadWrite(l.path(no, segmentSuffix), durable.Category)
	if err != nil {
		return nil, err
	}
	g, err := readSegment(f, no)
	if err == nil {
		err = f.SyncData()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("segment %d of the landing log: %w", no, err), f.Close())
	}
	g.segment = &segment{no: no, f: f}
	return g, nil
}

func readSegment(f io.ReaderAt, no uint32) (*loaded, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, segmentBytesMax))
	if err != nil {
		return nil, err
	}
	g := &loaded{}
	if g.head, err = parseSegmentHead(b, no); err != nil {
		return nil, err
	}
	g.records, g.gaps, g.synced = scan(b, g.head)
	return g, nil
}

// replay enters the packs of the log, in the order in which they were written, and uses segments without any again.
func (s *Store) replay(found []*loaded) {
	ends := map[uint32]uint32{}
	for _, g := range found {
		ends[g.head.before] = g.head.beforeEnd
	}
	for _, g := range found {
		g.synced = max(g.synced, ends[g.no])
		s.tellDamage(g)
		for _, r := range g.records {
			s.replayRecord(g, r)
		}
	}
	var dead []*segment
	s.landing.mu.Lock()
	for _, g := range found {
		g.sealed = true // only now, so that none is retired before all was counted
		if s.landing.deadLocked(g.segment) {
			dead = append(dead, g.segment)
		}
	}
	s.landing.mu.Unlock()
	s.landing.retire(dead)
}

func (s *Store) replayRecord(g *loaded, r record) {
	old, had := s.have[r.id]
	if r.kind == recordDeleted {
		if had && old.place.no != 0 {
			s.drop(r.id)
		}
		return
	}
	damaged := !r.whole
	if damaged && (r.at >= g.synced || had && !old.damaged) {
		return // never acknowledged, or there is a copy before it
	}
	g.live++
	g.bytes += int64(r.size)
	s.enter(r.id, entry{size: r.size, place: place{g.no, r.at}, damaged: damaged})
}

// tellDamage names what can not be read of the part of a segment that was on stable storage.
func (s *Store) tellDamage(g *loaded) {
	end := uint32(segmentHeadBytes)
	for _, r := range g.records {
		end = r.at + uint32(space(int(r.size)))
		if !r.whole && r.at < g.synced {
			s.opt.Logger.Error("pack store: damaged pack", "pack", r.id, "segment", g.no, "offset", r.at)
		}
	}
	if end < g.synced {
		g.gaps = append(g.gaps, gap{end, g.synced})
	}
	for _, p := range g.gaps {
		if p.from < g.synced {
			s.opt.Logger.Error("pack store: segment of the landing log is damaged; packs in it are lost here",
				"segment", g.no, "from", p.from, "to", min(p.to, g.synced))
		}
	}
}
