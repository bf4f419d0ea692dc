package codec

import (
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
)

// Decision says how a chunk was packaged, and why.
type Decision struct {
	Volume   ident.VolumeID
	Off, Len int64
	Class    classify.Class
	Search   engine.Search // where copies were looked for
	Why      []string      // the path through the model's tree
	Encoding Encoding      // what most of its changed bytes came from
	From     Shares
	Out      int64 // bytes of packs, its share of the frame's compressed columns
}

// Shares is how many bytes of a chunk each encoder covered in the end: what the others could not do cheaper.
type Shares struct {
	Same, Zero, Copy, Repeat, Stream, Literal int64
}

// keptDecisions bounds what an Encoder remembers, some 150 bytes each.
const keptDecisions = 4096

// decisions are those made last. Safe for concurrent use.
type decisions struct {
	mu   sync.Mutex
	ring []pendingDecision
	next int
}

// pendingDecision is a Decision without words.
type pendingDecision struct {
	volume      ident.VolumeID
	off         int64
	n           int32
	class       classify.Class
	search      engine.Search
	encoding    Encoding
	sensitivity Sensitivity
	from        Shares
	run         engine.Run
	got         [numColumns]int32 // bytes in the columns before compression
	out         int64
}

// decided notes a chunk of the open frame.
func (j *job) decided(v ident.VolumeID, off int64, n int, class classify.Class, e Encoding, matches []match, got [numColumns]int) {
	if len(j.decisions) == keptDecisions {
		return
	}
	d := pendingDecision{volume: v, off: off, n: int32(n), class: class, search: j.answer, encoding: e, sensitivity: j.sensitivity, run: j.traits}
	d.from.Literal = int64(n)
	for i := range matches {
		m := &matches[i]
		d.from.Literal -= int64(m.n)
		*d.from.of(m) += int64(m.n)
	}
	for i, b := range got {
		d.got[i] = int32(b)
	}
	j.decisions = append(j.decisions, d)
}

// of is the share that a match belongs to.
func (s *Shares) of(m *match) *int64 {
	switch {
	case m.op == opInner:
		return &s.Stream
	case m.op == opZero:
		return &s.Zero
	case m.op == opSelf:
		return &s.Same
	case m.from.volume == made:
		return &s.Repeat
	}
	return &s.Copy
}

// settle shares the compressed columns of the frame, of which column i takes size[i], among its chunks, and keeps what
// was decided.
func (j *job) settle(size [numColumns]int) {
	k := &j.enc.decisions
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range j.decisions {
		d := &j.decisions[i]
		out := 0.0
		for col, got := range d.got {
			if all := len(j.frame.cols[col]); all > 0 {
				out += float64(got) / float64(all) * float64(size[col])
			}
		}
		d.out = int64(out + 0.5)
		if len(k.ring) < keptDecisions {
			k.ring = append(k.ring, *d)
			continue
		}
		k.ring[k.next] = *d
		k.next = (k.next + 1) % keptDecisions
	}
	j.decisions = j.decisions[:0]
}

// Decisions returns what was decided last for chunks of volume v within [off, off+n), the latest first, at most limit.
// Only the last 4096 chunks of the group are remembered. Safe for concurrent use, also with Encode.
func (e *Encoder) Decisions(v ident.VolumeID, off, n int64, limit int) (out []Decision) {
	k := &e.decisions
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.ring {
		d := &k.ring[(k.next+len(k.ring)-1-i)%len(k.ring)]
		if d.volume != v || d.off >= off+n || d.off+int64(d.n) <= off {
			continue
		}
		if len(out) == limit {
			break
		}
		out = append(out, Decision{Volume: v, Off: d.off, Len: int64(d.n), Class: d.class, Search: d.search,
			Why: e.opt.Model.Why(d.sensitivity, &d.run), Encoding: d.encoding, From: d.from, Out: d.out})
	}
	return out
}
