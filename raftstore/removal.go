package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/weirstor/weir/replicate/pack"
)

// removal carries out deletions of packs in log order. See the package comment.
type removal struct {
	store packStore
	path  string // file with done, 8 bytes little-endian
	log   *slog.Logger

	// gate is held for reading from before a pack is stored, or looked up, until done has been read for the
	// acknowledgement; and for writing while packs are deleted and done moves on.
	gate sync.RWMutex
	done uint64        // log index; durable
	news chan struct{} // closed when done moves on

	mu     sync.Mutex
	queue  []deletion
	closed bool
	wake   chan struct{}
	wg     sync.WaitGroup
}

type deletion struct {
	index uint64
	packs []pack.ID
}

// deletionsPerGate bounds how long packs can not be stored because others are deleted.
const deletionsPerGate = 64

func openRemoval(path string, store packStore, log *slog.Logger) (*removal, error) {
	r := &removal{store: store, path: path, log: log, wake: make(chan struct{}, 1), news: make(chan struct{})}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case len(b) != 8:
		return nil, fmt.Errorf("%s: %d bytes, want 8", path, len(b))
	default:
		r.done = binary.LittleEndian.Uint64(b)
	}
	r.wg.Add(1)
	go r.run()
	return r, nil
}

// delete queues a deletion that stands in the log at index; one that was carried out before is ignored.
func (r *removal) delete(index uint64, packs []pack.ID) {
	r.mu.Lock()
	r.queue = append(r.queue, deletion{index, packs})
	r.mu.Unlock()
	r.signal()
}

// skip says that all deletions up to index have been passed over: the State came in a snapshot. Packs that they named
// may still be here; they are whole, and are collected as packs that nobody needs.
func (r *removal) skip(index uint64) { r.delete(index, nil) }

func (r *removal) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *removal) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.signal()
	r.wg.Wait()
}

func (r *removal) run() {
	defer r.wg.Done()
	for range r.wake {
		r.mu.Lock()
		queue, closed := r.queue, r.closed
		r.queue = nil
		r.mu.Unlock()
		if closed {
			return
		}
		if len(queue) > 0 {
			r.carryOut(queue)
		}
	}
}

func (r *removal) carryOut(queue []deletion) {
	for _, d := range queue {
		if d.index <= r.done {
			continue
		}
		for len(d.packs) > 0 {
			n := min(len(d.packs), deletionsPerGate)
			r.deleteSome(d.packs[:n])
			d.packs = d.packs[n:]
		}
	}
	last := queue[len(queue)-1].index
	if last <= r.done {
		return
	}
	// A file that comes back after power loss is a whole pack, and done is behind it then or the pack unneeded: no
	// directory is synced before done moves on.
	if err := writeDurable(r.path, binary.LittleEndian.AppendUint64(nil, last)); err != nil {
		r.log.Warn("deletions are not recorded as done", "index", last, "err", err)
		return
	}
	r.gate.Lock()
	r.done = last
	close(r.news)
	r.news = make(chan struct{})
	r.gate.Unlock()
}

func (r *removal) deleteSome(ids []pack.ID) {
	r.gate.Lock()
	defer r.gate.Unlock()
	for _, id := range ids {
		if err := r.store.Delete(id); err != nil {
			r.log.Warn("delete pack", "pack", id, "err", err)
		}
	}
}

// put stores a pack and returns the index for its acknowledgement.
func (r *removal) put(id pack.ID, b []byte) (freed uint64, err error) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	return r.done, r.store.Put(id, b)
}

// has tells which packs are here once deletions up to atLeast were carried out, and the index for the acknowledgement.
func (r *removal) has(ctx context.Context, ids []pack.ID, atLeast uint64) (have []bool, freed uint64, err error) {
	r.gate.RLock()
	for r.done < atLeast {
		news := r.news
		r.gate.RUnlock()
		select {
		case <-news:
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("deletions up to log index %d are not carried out: %w", atLeast, ctx.Err())
		}
		r.gate.RLock()
	}
	defer r.gate.RUnlock()
	have = make([]bool, len(ids))
	for i, id := range ids {
		have[i] = r.store.Has(id)
	}
	return have, r.done, nil
}
