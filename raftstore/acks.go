package raftstore

import (
	"math/bits"
	"slices"
	"sync"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/pack"
)

// ackCacheMax bounds the packs whose acknowledgements are remembered.
const ackCacheMax = 1 << 16

// ackCache remembers which nodes acknowledged packs that are not committed yet. It only saves asking them: a forgotten
// pack is asked for. Safe for concurrent use.
type ackCache struct {
	mu    sync.Mutex
	packs map[pack.ID]ackList
}

// ackList is what is known of one pack.
type ackList []meta.Ack

func newAckCache() *ackCache { return &ackCache{packs: make(map[pack.ID]ackList)} }

// add records acknowledgements; a later one of the same node replaces the earlier.
func (c *ackCache) add(id pack.ID, acks ...meta.Ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.packs[id]; !ok && len(c.packs) >= ackCacheMax {
		for old := range c.packs { // any one
			delete(c.packs, old)
			break
		}
	}
	c.packs[id] = c.packs[id].with(acks)
}

// with returns l with acks added; l is not changed.
func (l ackList) with(acks []meta.Ack) ackList {
	out := append(make(ackList, 0, len(l)+len(acks)), l...)
next:
	for _, a := range acks {
		for i := range out {
			if out[i].Node == a.Node {
				out[i].Freed = max(out[i].Freed, a.Freed)
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}

func (c *ackCache) get(id pack.ID) ackList {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.packs[id]
}

func (c *ackCache) forget(refs []pack.Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range refs {
		delete(c.packs, r.ID)
	}
}

// tally is who holds which of a commit's packs.
type tally struct {
	nodes []meta.Node // the group's replicas
	floor []uint64    // per pack: older acknowledgements do not count
	acks  []meta.Ack  // one per node; Freed is the oldest of its acknowledgements
	masks []uint64    // per pack, bit i: nodes[i] holds it
}

// newTally returns the empty tally of packs that are to be on a group's replicas.
func newTally(s *meta.State, group ident.GroupID, refs []pack.Ref) (*tally, error) {
	place, err := place(s, group)
	if err != nil {
		return nil, err
	}
	t := &tally{nodes: place.nodes, floor: make([]uint64, len(refs)), masks: make([]uint64, len(refs))}
	for i, r := range refs {
		t.floor[i] = s.AckFloor(r.ID)
	}
	for _, n := range place.nodes {
		t.acks = append(t.acks, meta.Ack{Node: n.ID, Freed: 1<<64 - 1})
	}
	return t, nil
}

// count enters what acks say of pack i.
func (t *tally) count(i int, acks ackList) {
	for _, a := range acks {
		if a.Freed < t.floor[i] {
			continue
		}
		for j, n := range t.nodes {
			if n.ID == a.Node {
				t.masks[i] |= 1 << j
				t.acks[j].Freed = min(t.acks[j].Freed, a.Freed)
			}
		}
	}
}

// missing lists the packs that a quorum does not hold, by index.
func (t *tally) missing() []int {
	var l []int
	for i, m := range t.masks {
		if bits.OnesCount64(m) < meta.Quorum(len(t.nodes)) {
			l = append(l, i)
		}
	}
	return l
}

// floorMax is what a node must have carried out so that its answer counts for every pack.
func (t *tally) floorMax() uint64 {
	if len(t.floor) == 0 {
		return 0
	}
	return slices.Max(t.floor)
}

// compact returns one mask when it holds for all packs.
func (t *tally) compact() []uint64 {
	for _, m := range t.masks {
		if m != t.masks[0] {
			return t.masks
		}
	}
	return t.masks[:min(1, len(t.masks))]
}
