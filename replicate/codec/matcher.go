package codec

import (
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
)

// What a copy must save to be worth its token, bytes.
const (
	minSelf     = 8        // copy from the same address
	minZeroRun  = 32       // zeroes within a chunk
	minRecent   = 8        // copy from a recent place
	minNew      = 40       // copy from a new place, as a whole
	minGain     = 24       // copy from a new place, bytes of it that the same address does not hold
	solidMatch  = 32       // a shorter match may give way to one that the index finds
	lookupAfter = 16       // bytes without such a match after which the index is asked
	recentReach = 8 << 10  // bytes since its last match after which a recent place is only tried where a chunk begins
	enough      = 64 << 10 // a match so long is not compared with others
)

// window is contiguous leaf blocks of a volume, old beside new.
//
// What a deflate stream of it holds is a window too: off is the address of the stream, and old is nil.
type window struct {
	volume   int // its number
	off      int64
	old, new []byte
	blocks   []block
}

// sources knows the volumes that content can be copied from.
type sources interface {
	// source returns the number of a volume and its old content; false if this epoch does not show it.
	source(v ident.VolumeID) (number int, old View, ok bool)
}

// matcher finds where new content comes from; level says where it looks. Sources are an offer: one that can not be read
// is not used. It keeps the three last places, as cursors, over all chunks of an epoch.
type matcher struct {
	level   engine.Search
	work    int64  // that was done, picoseconds
	index   *index // nil: only the same address and recent places
	volumes sources
	made    *results // shared by matchers of one epoch
	repeats repeats
	stream  int64 // position in made of the window's first byte, were it all in the chunk
	recents [3]*cursor
	trial   *cursor // of the location that is being tried
	spare   *cursor // of the best location so far
	out     []match
	anchors anchors
}

func newMatcher(made *results) *matcher {
	m := &matcher{trial: &cursor{}, spare: &cursor{}, made: made}
	for i := range m.recents {
		m.recents[i] = &cursor{}
	}
	return m
}

// start forgets what another epoch left.
func (m *matcher) start(x *index, volumes sources) {
	m.index, m.volumes = x, volumes
	m.repeats.reset()
	for _, c := range m.recents {
		c.aim(place{}, nil, 0)
	}
}

// cover returns copies for the chunk [a, b) of w, sorted and not overlapping. They are valid until the next call.
// end must follow.
func (m *matcher) cover(w *window, a, b int) []match {
	m.begin(w, a, m.made.total-blockFloor(int64(a)))
	m.search(w, a, b)
	return m.out
}

// search fills out with the copies for [a, b).
func (m *matcher) search(w *window, a, b int) {
	solid := a // content before it is in a match that is not to be improved
	seen := -1 // the last leaf block that was looked for in the stream of results
	near, deep := m.level >= engine.SearchNear, m.level >= engine.SearchIndex && m.index != nil
	m.work += int64(b-a) * workScan
	if near {
		m.work += int64(b-a) * workNear
	}
	searched := m.anchors.work
	defer func() { m.work += int64(m.anchors.work-searched) * workAnchor }()
	for p := a; p+8 <= b; {
		if k := p / blockSize; k > seen {
			seen = k
			if !near {
				continue
			}
			if best := m.again(w, p, b); best.n > 0 {
				p, solid = m.accept(best), best.at+best.n
				m.anchors.skip(solid)
				continue
			}
		}
		stop := min(b-7, (seen+1)*blockSize)
		if deep {
			if p-solid < lookupAfter {
				stop = min(stop, solid+lookupAfter)
			} else if x := m.anchors.next(w.new, p, b, m.index.sub); x.at > p {
				stop = min(stop, x.at)
			} else {
				best := m.lookup(w, x, a, b)
				m.anchors.take()
				if best.n > 0 {
					p, solid = m.accept(best), best.at+best.n
					m.anchors.skip(solid)
				}
				continue
			}
		}
		if p = m.scan(w, p, stop); p >= stop {
			continue
		}
		best := m.here(w, p, b)
		if best.n == 0 {
			p++
			continue
		}
		if p = m.accept(best); best.n >= solidMatch {
			solid = p
			m.anchors.skip(solid)
		}
	}
}

// begin prepares for a chunk of w that begins at a. stream is the position in the stream of results of the window's
// first byte.
func (m *matcher) begin(w *window, a int, stream int64) {
	m.out = m.out[:0]
	m.anchors.start(a)
	m.stream = stream
	for _, c := range m.recents {
		if c.good, c.base = a, w.off; c.from.volume == made {
			c.aimMade(c.from, m.made, m.stream)
		}
	}
}

// end adds the leaf blocks of the chunk [a, b) to the stream of results.
func (m *matcher) end(w *window, a, b int) {
	for k := a / blockSize; k*blockSize < b; k++ {
		if l := w.blocks[k].after; l != 0 {
			m.repeats.add(l, m.stream+int64(k*blockSize))
		}
		m.made.add(w.new[k*blockSize : (k+1)*blockSize])
	}
}

// again returns a match from p on if this epoch made the leaf block at p before.
func (m *matcher) again(w *window, p, b int) match {
	k := p / blockSize
	if w.old == nil {
		return match{}
	}
	at, ok := m.repeats.find(w.blocks[k].after)
	if !ok || !m.made.holds(at, blockSize) {
		return match{}
	}
	from := place{made, at - m.stream - int64(k*blockSize)}
	c := m.spare
	c.aimMade(from, m.made, m.stream)
	n, err := c.extend(w.new[p:b], c.addr(p))
	x := match{at: p, n: n, op: opNear, from: from, fresh: true}
	if err != nil || n < minNew || !gains(w, x) {
		return match{}
	}
	return x
}

// scan returns the first position from p on, before stop, at which here may find something.
func (m *matcher) scan(w *window, p, stop int) int {
	r := m.recents[0]
	if m.level < engine.SearchNear {
	} else if r.view != nil && p-r.good <= recentReach || m.recents[1].view != nil && p-m.recents[1].good <= recentReach ||
		m.recents[2].view != nil && p-m.recents[2].good <= recentReach {
		return m.scanRecent(w, p, stop)
	}
	if p >= stop {
		return p
	}
	new := w.new[p : stop+7]
	if w.old == nil {
		for i := 0; i+8 <= len(new); i++ {
			if load64(new, i) == 0 {
				return p + i
			}
		}
		return stop
	}
	old := w.old[p:][:len(new)]
	for i := 0; i+8 <= len(new); i++ {
		if x := load64(new, i); x == load64(old, i) || x == 0 {
			return p + i
		}
	}
	return stop
}

// scanRecent is scan where recent places are to be tried as well.
func (m *matcher) scanRecent(w *window, p, stop int) int {
	for ; p < stop; p++ {
		x := load64(w.new, p)
		if x == 0 || w.old != nil && x == load64(w.old, p) {
			return p
		}
		for _, c := range m.recents {
			if c.view == nil || p-c.good > recentReach {
				continue
			}
			at := c.addr(p) - c.lo
			if at < 0 || at+8 > int64(c.n) || load64(c.buf[:], int(at)) == x {
				return p
			}
		}
	}
	return p
}

// here tries the same address, zeroes and the recent places at p.
func (m *matcher) here(w *window, p, b int) (best match) {
	word := load64(w.new, p)
	if w.old != nil && load64(w.old, p) == word {
		best = match{at: p, n: 8 + matchForward(w.new[p+8:b], w.old[p+8:b]), op: opSelf}
	}
	if word == 0 && best.n < minZeroRun {
		if n := 8 + zeroPrefix(w.new[p+8:b]); n >= minZeroRun {
			return match{at: p, n: n, op: opZero}
		}
	}
	if best.n >= enough || m.level < engine.SearchNear {
		return best
	}
	for _, c := range m.recents {
		if c.view == nil || p-c.good > recentReach {
			continue
		}
		n := m.recentAt(c, p, b, w, word)
		if n >= minRecent && n > best.n {
			best = match{at: p, n: n, op: opNear, from: c.from}
		}
	}
	return best
}

// recentAt is how many bytes of w from p on, which begin with word, the place of c holds. A place that can not be read
// is forgotten.
func (m *matcher) recentAt(c *cursor, p, b int, w *window, word uint64) int {
	addr := c.addr(p)
	old, err := c.ahead(addr)
	if err == nil && (len(old) == 0 || old[0] != byte(word) || len(old) >= 8 && load64(old, 0) != word) {
		return 0
	}
	n := 0
	if err == nil {
		n, err = c.extend(w.new[p:b], addr)
	}
	if err != nil {
		c.view = nil
		return 0
	}
	return n
}

// accept adds a match and returns its end. One that the index found may reach back over shorter ones before it.
func (m *matcher) accept(x match) int {
	for len(m.out) > 0 {
		last := &m.out[len(m.out)-1]
		if last.at+last.n <= x.at {
			break
		}
		if last.at < x.at {
			last.n = x.at - last.at
			break
		}
		m.out = m.out[:len(m.out)-1]
	}
	m.out = append(m.out, x)
	end := x.at + x.n
	if x.op != opNear {
		return end
	}
	for i, c := range m.recents {
		if c.view != nil && c.from == x.from {
			copy(m.recents[1:i+1], m.recents[:i])
			m.recents[0] = c
			c.good = end
			return end
		}
	}
	// The index found a new place; its cursor is the spare one.
	c := m.spare
	m.spare = m.recents[2]
	m.recents[2], m.recents[1], m.recents[0] = m.recents[1], m.recents[0], c
	c.good = end
	return end
}
