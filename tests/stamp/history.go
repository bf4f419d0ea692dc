package stamp

import (
	"maps"
	"sync"
)

// Tick orders events of a history. An event with a smaller Tick really happened before one with a larger.
type Tick uint64

// never is the answer time of a request that was not answered.
const never = ^Tick(0)

// Op is one request of a history.
type Op struct {
	ID        ID
	Place     Place // first block
	Blocks    int64
	Zero      bool // the range was made zero; otherwise it was stamped
	FUA       bool
	Submitted Tick // before the first byte was sent
	Answered  Tick // after a good answer was received; never when there was none
}

// flush is one answered Flush: it covers what was answered before it was submitted.
type flush struct{ submitted, answered Tick }

// History records what a workload did, and the state from which it started. All methods may be called concurrently.
type History struct {
	seed uint64

	mu struct {
		sync.Mutex
		clock   Tick
		ops     []*Op // by ID, the first has ID 1
		start   int   // ops before this index belong to earlier rounds
		initial map[Place]ID
		flushes []flush
	}
}

// NewHistory returns an empty history of volumes that hold only zeroes. The seed tells its stamps from those of other
// histories.
func NewHistory(seed uint64) *History {
	h := &History{seed: seed}
	h.mu.initial = map[Place]ID{}
	return h
}

// Now returns the present moment.
func (h *History) Now() Tick {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tickLocked()
}

func (h *History) tickLocked() Tick {
	h.mu.clock++
	return h.mu.clock
}

// Submit notes that a request is about to be sent.
func (h *History) Submit(place Place, blocks int64, zero, fua bool) *Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	op := &Op{
		ID: ID(len(h.mu.ops) + 1), Place: place, Blocks: blocks, Zero: zero, FUA: fua,
		Submitted: h.tickLocked(), Answered: never,
	}
	h.mu.ops = append(h.mu.ops, op)
	return op
}

// Answer notes that op was answered without error.
func (h *History) Answer(op *Op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op.Answered = h.tickLocked()
}

// Flush calls do, which flushes, and notes when it was answered without error.
func (h *History) Flush(do func() error) error {
	submitted := h.Now()
	if err := do(); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.flushes = append(h.mu.flushes, flush{submitted, h.tickLocked()})
	return nil
}

// Ops returns how many requests were submitted and how many answered since the round began.
func (h *History) Ops() (submitted, answered int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.mu.ops[h.mu.start:] {
		if op.Answered != never {
			answered++
		}
	}
	return len(h.mu.ops) - h.mu.start, answered
}

// Payload fills p, a whole number of blocks, with the stamps of op.
func (h *History) Payload(op *Op, p []byte) {
	for i := range op.Blocks {
		place := Place{op.Place.Volume, op.Place.Block + i}
		fill(p[i*BlockSize:][:BlockSize], h.seed, op.ID, place)
	}
}

// Continue begins a round that starts from s, a state that Check accepted. No request may be in flight. Requests of
// earlier rounds that s does not show are gone for good: a stamp of theirs that appears later is a violation.
func (h *History) Continue(s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.start = len(h.mu.ops)
	h.mu.flushes = nil
	h.mu.initial = maps.Clone(s)
}

// round is a copy of what the check needs.
type round struct {
	ops     []*Op
	first   ID // ID of ops[0]
	initial map[Place]ID
	flushes []flush
	now     Tick
}

func (h *History) round() round {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := round{first: ID(h.mu.start + 1), initial: h.mu.initial, now: h.mu.clock}
	for _, op := range h.mu.ops[h.mu.start:] {
		snapshot := *op
		r.ops = append(r.ops, &snapshot)
	}
	r.flushes = append(r.flushes, h.mu.flushes...)
	return r
}
