package admin

import (
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
)

const (
	journalKept    = 512 // events kept for late readers
	subscriberRoom = 128 // events a reader may be behind before it loses the oldest
)

// Journal keeps the latest events and hands new ones to readers. Safe for concurrent use; Publish never waits.
type Journal struct {
	mu struct {
		sync.Mutex
		seq    uint64
		recent []api.Event // oldest first, at most journalKept
		subs   map[chan api.Event]struct{}
	}
}

// NewJournal returns an empty journal.
func NewJournal() *Journal {
	j := &Journal{}
	j.mu.subs = make(map[chan api.Event]struct{})
	return j
}

// Publish numbers e, sets its time when it has none, and keeps it. A reader that is too slow loses the oldest event
// that waits for it.
func (j *Journal) Publish(e api.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.seq++
	e.Seq = j.mu.seq
	if len(j.mu.recent) == journalKept {
		j.mu.recent = append(j.mu.recent[:0], j.mu.recent[1:]...)
	}
	j.mu.recent = append(j.mu.recent, e)
	for c := range j.mu.subs {
		offer(c, e)
	}
}

func offer(c chan api.Event, e api.Event) {
	for {
		select {
		case c <- e:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// Since returns the kept events with a number above seq, oldest first.
func (j *Journal) Since(seq uint64) []api.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sinceLocked(seq)
}

func (j *Journal) sinceLocked(seq uint64) []api.Event {
	for i, e := range j.mu.recent {
		if e.Seq > seq {
			return append([]api.Event(nil), j.mu.recent[i:]...)
		}
	}
	return nil
}

// Follow returns the kept events above seq and a channel with all later ones; stop ends the subscription and must be
// called once.
func (j *Journal) Follow(seq uint64) (past []api.Event, next <-chan api.Event, stop func()) {
	c := make(chan api.Event, subscriberRoom)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.subs[c] = struct{}{}
	return j.sinceLocked(seq), c, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		delete(j.mu.subs, c)
	}
}
