package raftstore

import (
	"sync"
	"time"

	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/pack"
)

const (
	// strayAge is how long a pack that no point needs is left alone: a gateway may be about to commit it. One that
	// takes longer is asked to send the pack again.
	strayAge = time.Hour
	// straysPerReport bounds the packs that one report names; the rest comes with later ones.
	straysPerReport = 4096
)

// strays finds wire packs that no point needs: put and never committed, or left over when a deletion was passed over.
// Safe for concurrent use.
type strays struct {
	mu   sync.Mutex
	seen map[pack.ID]time.Time // unneeded packs, and when they were first found so
}

func newStrays() *strays { return &strays{seen: make(map[pack.ID]time.Time)} }

// find returns packs that have been here unneeded for at least age, at most limit of them.
func (s *strays) find(have []pack.Ref, needed func(pack.ID) bool, now time.Time, age time.Duration, limit int) []pack.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[pack.ID]time.Time)
	var old []pack.ID
	for _, ref := range have {
		if needed(ref.ID) {
			continue
		}
		since, known := s.seen[ref.ID]
		if !known {
			since = now
		}
		next[ref.ID] = since
		if now.Sub(since) >= age && len(old) < limit {
			old = append(old, ref.ID)
		}
	}
	s.seen = next
	return old
}

// strayPacks lists this node's strays for the leader.
func (n *Node) strayPacks() []pack.ID {
	var old []pack.ID
	have := n.packs.List()
	n.fsm.read(func(st *meta.State) {
		old = n.strays.find(have, st.Referenced, time.Now(), n.opt.strayAge, straysPerReport)
	})
	return old
}
