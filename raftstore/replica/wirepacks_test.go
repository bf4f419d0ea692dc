package replica

import (
	"maps"
	"sync"

	"github.com/weirstor/weir/replicate/pack"
)

// wirePacks holds the wire packs that a source has sent. Safe for concurrent use: nodes fetch while the source seals.
type wirePacks struct {
	mu    sync.Mutex
	packs map[pack.ID][]byte
}

func newWirePacks() *wirePacks { return &wirePacks{packs: map[pack.ID][]byte{}} }

func (w *wirePacks) put(id pack.ID, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packs[id] = b
}

// get returns nil when there is no such pack.
func (w *wirePacks) get(id pack.ID) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.packs[id]
}

// all returns what is there at this moment.
func (w *wirePacks) all() map[pack.ID][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.packs)
}

// forget drops every pack.
func (w *wirePacks) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.packs)
}
