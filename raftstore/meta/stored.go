package meta

import (
	"bytes"
	"encoding/binary"

	"github.com/weirstor/weir/intercept/ident"
)

// point is one recovery point. Deleted points stay, hidden, until they are released: the points after them are decoded
// against them.
type point struct {
	end      ident.Seq
	number   uint64
	time     int64
	commit   string // canonical encoding of replicate.Commit
	timeline uint32 // index into the group's timelines
	hidden   bool
}

// stored is a point as a group keeps it, in as few bytes as can be: there may be a million of them. data is
//
//	uvarint   number
//	byte      form
//	svarint   time; in formShort its distance from the commit's time
//	          formWhole: the commit
//	          formShort: the commit without its first commitHeadBytes, which follow from group and timeline
type stored struct {
	end      ident.Seq
	data     string
	timeline uint32
	hidden   bool
}

const (
	formWhole = 0
	formShort = 1
)

// What replicate.Commit begins with when it builds on a point of its own timeline: a version byte, group, timeline, a
// byte 1, and group and timeline of the previous point.
const commitHeadBytes = 1 + 16 + 16 + 1 + 16 + 16

func storedLess(a, b stored) bool {
	if a.timeline != b.timeline {
		return a.timeline < b.timeline
	}
	return a.end < b.end
}

// commitHead returns the head that a commit of the group on a timeline has, for a version of its encoding.
func (g *group) commitHead(version byte, t uint32) []byte {
	id, tl := g.id.UUID, g.timelines[t].id.UUID
	b := append(make([]byte, 0, commitHeadBytes), version)
	b = append(append(b, id[:]...), tl[:]...)
	return append(append(append(b, 1), id[:]...), tl[:]...)
}

// commitHeadVersion is the version of commits that have such a head.
const commitHeadVersion = 1

// pack returns p as it is kept. What can not be told again from a short form is kept whole.
func (g *group) pack(p point) stored {
	s := stored{end: p.end, timeline: p.timeline, hidden: p.hidden}
	b := binary.AppendUvarint(nil, p.number)
	if at, ok := commitTime(p.commit); ok && bytes.Equal(g.commitHead(commitHeadVersion, p.timeline), []byte(p.commit[:commitHeadBytes])) {
		b = binary.AppendVarint(append(b, formShort), p.time-at)
		b = append(b, p.commit[commitHeadBytes:]...)
	} else {
		b = binary.AppendVarint(append(b, formWhole), p.time)
		b = append(b, p.commit...)
	}
	s.data = string(b)
	return s
}

// unpack is the reverse of pack.
func (g *group) unpack(s stored) point {
	p := point{end: s.end, timeline: s.timeline, hidden: s.hidden}
	b := []byte(s.data)
	n, size := binary.Uvarint(b)
	p.number, b = n, b[size:]
	form := b[0]
	d, size := binary.Varint(b[1:])
	p.time, b = d, b[1+size:]
	if form == formWhole {
		p.commit = string(b)
		return p
	}
	p.commit = string(append(g.commitHead(commitHeadVersion, s.timeline), b...))
	at, _ := commitTime(p.commit)
	p.time += at
	return p
}

// number reads the point's number alone.
func (s stored) number() uint64 {
	var n uint64
	for i := 0; ; i++ {
		c := s.data[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n
		}
	}
}

// commitTime reads the time from an encoded commit whose head is a commitHead: after the head stand the end of the
// previous point, its digest, first and end. ok is false when the commit is too short for that.
func commitTime(commit string) (at int64, ok bool) {
	if len(commit) < commitHeadBytes {
		return 0, false
	}
	b := []byte(commit[commitHeadBytes:])
	for i := range 3 {
		_, size := binary.Uvarint(b)
		if size <= 0 {
			return 0, false
		}
		b = b[size:]
		if i == 0 {
			if len(b) < len(ident.Digest{}) {
				return 0, false
			}
			b = b[len(ident.Digest{}):]
		}
	}
	at, size := binary.Varint(b)
	return at, size > 0
}
