package meta

import (
	"slices"

	"github.com/weirstor/weir/replicate/pack"
)

// deletionsMax is how many deleted packs are remembered one by one.
const deletionsMax = 1 << 12

// deletions remembers which packs were deleted by which log entry, the last deletionsMax of them. A node may
// acknowledge a pack and then, late, carry out a deletion that named an earlier copy of it.
//
// Invariant: at[id] is the index of the last item of list with that id; indexes in list do not fall.
type deletions struct {
	list  []deletion
	at    map[pack.ID]uint64
	floor uint64 // index of the last deletion that is not in list
}

type deletion struct {
	id    pack.ID
	index uint64
}

func (d *deletions) note(index uint64, ids []pack.ID) {
	for _, id := range ids {
		d.list = append(d.list, deletion{id, index})
		d.at[id] = index
	}
	for len(d.list) > deletionsMax {
		old := d.list[0]
		d.list = d.list[1:]
		d.floor = old.index
		if d.at[old.id] == old.index {
			delete(d.at, old.id)
		}
	}
}

func (d *deletions) clone() deletions {
	return deletions{list: slices.Clone(d.list), at: cloneMap(d.at), floor: d.floor}
}

func (d *deletions) code(c *coder) {
	c.uvarint(&d.floor)
	list(c, &d.list, deletionsMax, len(pack.ID{})+1, func(x *deletion) {
		c.fixed(x.id[:])
		c.uvarint(&x.index)
	})
	if c.reading {
		for _, x := range d.list {
			d.at[x.id] = x.index
		}
	}
}

// AckFloor returns how far a node must have carried out deletions, by log index, for its acknowledgement of a pack to
// count.
func (s *State) AckFloor(id pack.ID) uint64 {
	if at, ok := s.deletions.at[id]; ok {
		return at
	}
	return s.deletions.floor
}

// Freed returns the log index of the last command that deleted packs.
func (s *State) Freed() uint64 {
	if n := len(s.deletions.list); n > 0 {
		return s.deletions.list[n-1].index
	}
	return s.deletions.floor
}
