package codec

import (
	"github.com/weirstor/weir/classify/engine"
)

// What the parts of a search take, picoseconds of one core, and what a token costs, bytes.
const (
	workScan    = 500    // a byte that is compared with the same address
	workNear    = 700    // a byte that is compared with near places too
	workAnchor  = 2000   // a byte that is searched for anchors
	workLookup  = 150000 // an anchor that is looked up
	workInflate = 5000   // a byte that a stream holds
	workDeflate = 30000  // a byte that is compressed again to compare
	tokenCost   = 3      // a token with a copy
	placeCost   = 2      // a new place
)

// matcherState is what a search changes in a matcher.
type matcherState struct {
	from [3]place
	view [3]View
}

func (m *matcher) save() (s matcherState) {
	for i, c := range m.recents {
		s.from[i], s.view[i] = c.from, c.view
	}
	return s
}

// restore makes the matcher as it was; what its cursors held is read again.
func (m *matcher) restore(s matcherState) {
	for i, c := range m.recents {
		c.aim(s.from[i], s.view[i], 0)
	}
}

// try searches the chunk [a, b) of w in all ways and tells what each would cost. What the job and its searches
// remember stays as it is.
func (j *job) try(w *window, to, a, b int, data bool) (out [engine.NumSearch]engine.Outcome) {
	u := j.unpacker
	state, inner, tried := j.matcher.save(), u.matcher.save(), u.tried
	for level := range out {
		s := engine.Search(level)
		if s == engine.SearchInner && !data {
			out[level] = out[level-1]
			continue
		}
		j.matcher.restore(state)
		j.matcher.work, u.work, u.matcher.work = 0, 0, 0
		j.matcher.level = s
		matches := j.matcher.cover(w, a, b)
		if s == engine.SearchInner {
			u.matcher.restore(inner)
			matches = u.unpack(w, a, b, j.dataUpTo(to)*blockSize, matches, j.matcher.stream)
			if u.beyond > b {
				u.tried = tried
				out[level] = out[level-1]
				continue
			}
			u.tried = tried
		}
		n := j.cost(w.new[a:b], a, matches)
		out[level] = engine.Outcome{Bytes: n, Work: (j.matcher.work + u.work + u.matcher.work) / 1000}
	}
	j.matcher.restore(state)
	u.matcher.restore(inner)
	return out
}

// cost estimates what content, which begins at base, takes on the wire when matches need no literal.
func (j *job) cost(content []byte, base int, matches []match) int64 {
	j.literals = j.literals[:0]
	tokens := int64(1)
	j.literals, tokens = literalsOf(j.literals, tokens, content, base, matches)
	n := tokens
	for b := j.literals; len(b) > 0; {
		k, raw := probe(b)
		if raw || k < minDeflate {
			n += int64(k)
		} else {
			j.scratch = compressor(engine.SqueezeNormal).EncodeAll(b[:k], j.scratch[:0])
			n += int64(min(k, len(j.scratch)-4))
		}
		b = b[k:]
	}
	return n
}

// literalsOf appends the bytes of content that no match covers to dst, and adds what the tokens cost.
func literalsOf(dst []byte, cost int64, content []byte, base int, matches []match) ([]byte, int64) {
	at := 0
	for i := range matches {
		m := &matches[i]
		dst = append(dst, content[at:m.at-base]...)
		at = m.at - base + m.n
		cost += tokenCost
		if m.fresh {
			cost += placeCost
		}
		if m.op == opInner {
			dst, cost = literalsOf(dst, cost+tokenCost, m.inner.content, 0, m.inner.matches)
		}
	}
	return append(dst, content[at:]...), cost
}
