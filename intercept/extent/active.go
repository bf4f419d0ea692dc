package extent

import (
	"slices"
	"sync"
)

const (
	shardBytes = 64 << 20 // of volume that one shard covers
	leafMax    = 64       // entries; a leaf that grows beyond is split
)

// Active is a map that takes inserts. All methods are safe for concurrent use; inserts into different 64 MiB of a
// volume do not wait for each other.
type Active struct {
	mu     sync.RWMutex
	shards map[int64]*shard
}

// shard is the entries of one piece of a volume: sorted leaves of sorted entries. No leaf is empty.
type shard struct {
	mu      sync.Mutex
	starts  []int64   // Off of the first entry of each leaf
	leaves  [][]Entry // their entries
	scratch []Entry
	old     []Entry
}

// NewActive returns an empty map.
func NewActive() *Active { return &Active{shards: make(map[int64]*shard)} }

// Insert records that [off, off+n) is what e says; Off and Len of e are taken from the arguments, and Delta is that of
// off. Where something newer is known already it stays.
func (m *Active) Insert(e Entry, off, n int64) {
	delta := int64(e.Delta)
	for n > 0 {
		index := off / shardBytes
		step := min(n, (index+1)*shardBytes-off)
		e.Off, e.Len = off, uint32(step)
		if !e.Zero() {
			e.Delta = uint32(delta)
		}
		m.shard(index).insert(e)
		off, n, delta = off+step, n-step, delta+step
	}
}

func (m *Active) shard(index int64) *shard {
	m.mu.RLock()
	s := m.shards[index]
	m.mu.RUnlock()
	if s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s = m.shards[index]; s == nil {
		s = new(shard)
		m.shards[index] = s
	}
	return s
}

// Append implements Map.
func (m *Active) Append(dst []Entry, off, end int64) []Entry {
	for off < end {
		index := off / shardBytes
		stop := min(end, (index+1)*shardBytes)
		m.mu.RLock()
		s := m.shards[index]
		m.mu.RUnlock()
		if s != nil {
			dst = s.append(dst, off, stop)
		}
		off = stop
	}
	return dst
}

// Seal returns the entries as a Sealed. Nothing may be inserted any more.
func (m *Active) Seal() *Sealed {
	m.mu.RLock()
	defer m.mu.RUnlock()
	order := make([]int64, 0, len(m.shards))
	total := 0
	for i, s := range m.shards {
		order = append(order, i)
		total += s.len()
	}
	slices.Sort(order)
	list := make([]Entry, 0, total)
	for _, i := range order {
		s := m.shards[i]
		s.mu.Lock()
		for _, leaf := range s.leaves {
			list = append(list, leaf...)
		}
		s.mu.Unlock()
	}
	return &Sealed{list: list}
}

// Len is the number of entries.
func (m *Active) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, s := range m.shards {
		n += s.len()
	}
	return n
}

func (s *shard) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, leaf := range s.leaves {
		n += len(leaf)
	}
	return n
}

// find returns leaf and index of the first entry that ends behind off; leaf is len(s.leaves) when there is none.
func (s *shard) find(off int64) (leaf, index int) {
	leaf, exact := slices.BinarySearch(s.starts, off)
	if exact {
		return leaf, 0
	}
	if leaf == 0 {
		return 0, 0
	}
	index = searchEnd(s.leaves[leaf-1], off)
	if index < len(s.leaves[leaf-1]) {
		return leaf - 1, index
	}
	return leaf, 0
}

// searchEnd returns the index of the first entry of list that ends behind off.
func searchEnd(list []Entry, off int64) int {
	lo, hi := 0, len(list)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if list[mid].End() <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (s *shard) append(dst []Entry, off, end int64) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaf, index := s.find(off)
	for ; leaf < len(s.leaves); leaf, index = leaf+1, 0 {
		for _, e := range s.leaves[leaf][index:] {
			if e.Off >= end {
				return dst
			}
			dst = append(dst, e.clip(off, end))
		}
	}
	return dst
}

func (s *shard) insert(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leaves) == 0 {
		s.leaves, s.starts = append(s.leaves, append([]Entry(nil), e)), append(s.starts, e.Off)
		return
	}
	leaf, index := s.find(e.Off)
	if leaf == len(s.leaves) {
		leaf--
		index = len(s.leaves[leaf])
	}
	// Most writes meet nothing, or exactly what an earlier one of the same place and length left.
	if index < len(s.leaves[leaf]) {
		if o := &s.leaves[leaf][index]; o.Off == e.Off && o.Len == e.Len {
			if o.Pos < e.Pos {
				*o = e
			}
			return
		}
	}
	s.old = s.old[:0]
	lastLeaf, lastIndex := leaf, index
	for l, i := leaf, index; l < len(s.leaves); l, i = l+1, 0 {
		for ; i < len(s.leaves[l]) && s.leaves[l][i].Off < e.End(); i++ {
			s.old = append(s.old, s.leaves[l][i])
			lastLeaf, lastIndex = l, i+1
		}
		if i < len(s.leaves[l]) {
			break
		}
	}
	s.scratch = overlay(s.scratch[:0], e, s.old)
	s.splice(leaf, index, lastLeaf, lastIndex)
}

// splice replaces the entries from (leaf, index) to before (lastLeaf, lastIndex) by scratch.
func (s *shard) splice(leaf, index, lastLeaf, lastIndex int) {
	if lastLeaf > leaf {
		s.leaves[leaf] = append(s.leaves[leaf][:index], s.leaves[lastLeaf][lastIndex:]...)
		s.leaves = slices.Delete(s.leaves, leaf+1, lastLeaf+1)
		s.starts = slices.Delete(s.starts, leaf+1, lastLeaf+1)
		lastIndex = index
	}
	list := slices.Replace(s.leaves[leaf], index, lastIndex, s.scratch...)
	s.leaves[leaf], s.starts[leaf] = list, list[0].Off
	if len(list) > leafMax {
		s.split(leaf, index == len(list)-len(s.scratch))
	}
}

// split cuts a leaf that has grown too long into even parts; one that grows at its end is left full, as sequential
// writes want it.
func (s *shard) split(leaf int, atEnd bool) {
	list := s.leaves[leaf]
	n := max(2, (len(list)+leafMax*3/4-1)/(leafMax*3/4))
	size := (len(list) + n - 1) / n
	if atEnd && len(list) <= 2*leafMax {
		size = leafMax
	}
	var parts [][]Entry
	var starts []int64
	for len(list) > 0 {
		take := min(len(list), size)
		part := append(make([]Entry, 0, leafMax), list[:take]...)
		parts, starts = append(parts, part), append(starts, part[0].Off)
		list = list[take:]
	}
	s.leaves = slices.Replace(s.leaves, leaf, leaf+1, parts...)
	s.starts = slices.Replace(s.starts, leaf, leaf+1, starts...)
}
