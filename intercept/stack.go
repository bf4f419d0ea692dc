package intercept

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
)

// stack is the layers above the base, the oldest first. Everything before the first layer is in the base; the layers
// follow each other without a gap. It never changes; whoever reads through it holds a pin.
type stack struct {
	layers []*layer
	pins   atomic.Int64
	view   bool // that of a pinned point, whose end says what it needs of the base
}

// stacks is the current stack and the ones before that are still pinned.
type stacks struct {
	sync.Mutex
	current atomic.Pointer[stack]
	live    map[*stack]struct{}
	views   map[*pinned]struct{}
	changed chan struct{} // closed and replaced at each change of live or of a layer's end
}

// init prepares an empty set.
func (s *stacks) init() {
	s.live = make(map[*stack]struct{})
	s.views = make(map[*pinned]struct{})
	s.changed = make(chan struct{})
}

// install makes layers the current stack.
func (s *stacks) install(layers []*layer) {
	s.Lock()
	defer s.Unlock()
	s.installLocked(layers)
}

// newLocked returns a live stack with one pin.
func (s *stacks) newLocked(layers []*layer) *stack {
	st := &stack{layers: layers}
	st.pins.Store(1)
	s.live[st] = struct{}{}
	return st
}

// installLocked makes layers the current stack.
func (s *stacks) installLocked(layers []*layer) {
	old := s.current.Swap(s.newLocked(layers))
	if old != nil && old.pins.Add(-1) == 0 {
		delete(s.live, old)
	}
	s.notifyLocked()
}

func (s *stacks) notifyLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// notify wakes those who wait for a change.
func (s *stacks) notify() {
	s.Lock()
	defer s.Unlock()
	s.notifyLocked()
}

// pin returns the current stack, which stays valid until unpin.
func (s *stacks) pin() *stack {
	for {
		st := s.current.Load()
		for n := st.pins.Load(); n > 0; n = st.pins.Load() {
			if st.pins.CompareAndSwap(n, n+1) {
				return st
			}
		}
	}
}

// unpin gives up a pin.
func (s *stacks) unpin(st *stack) {
	if st.pins.Add(-1) > 0 {
		return
	}
	s.Lock()
	defer s.Unlock()
	delete(s.live, st)
	s.notifyLocked()
}

// top is the layer that takes inserts.
func (s *stacks) topLocked() *layer {
	layers := s.current.Load().layers
	return layers[len(layers)-1]
}

// push makes l the layer that takes inserts.
func (s *stacks) pushLocked(l *layer) {
	s.installLocked(append(slices.Clone(s.current.Load().layers), l))
}

// replace puts m in the place of the layers of run; false when the destager has begun with one of them meanwhile.
func (s *stacks) replace(run []*layer, m *layer) bool {
	s.Lock()
	defer s.Unlock()
	layers := slices.Clone(s.current.Load().layers)
	i := slices.Index(layers, run[0])
	if i < 0 || run[0].busy {
		return false
	}
	s.installLocked(slices.Replace(layers, i, i+len(run), m))
	return true
}

// drop removes the oldest layer, which is in the base now, from the current stack and from those of views.
func (s *stacks) drop(l *layer) {
	s.Lock()
	layers := s.current.Load().layers
	if layers[0] != l {
		panic("the layer that was destaged is not the oldest one")
	}
	s.installLocked(slices.Clone(layers[1:]))
	views := slices.Collect(maps.Keys(s.views))
	s.Unlock()
	for _, p := range views {
		p.rebase(l)
	}
}

// olderThanLocked reports whether any live stack ends before seq, so that it reads the base as it was before. With
// shadows those of views do not count.
func (s *stacks) olderThanLocked(seq ident.Seq, shadows bool) bool {
	if !shadows {
		for p := range s.views {
			if p.end < seq {
				return true
			}
		}
	}
	for st := range s.live {
		if st.view {
			continue
		}
		end := ident.Seq(0)
		if n := len(st.layers); n > 0 {
			end = st.layers[n-1].end
			if end == 0 {
				continue // it still grows
			}
		}
		if end < seq {
			return true
		}
	}
	return false
}

// oldestPosLocked is the lowest log position that any live stack may read.
func (s *stacks) oldestPosLocked() wal.Pos {
	oldest := ^wal.Pos(0)
	for st := range s.live {
		if len(st.layers) > 0 {
			oldest = min(oldest, st.layers[0].start)
		}
	}
	return oldest
}
