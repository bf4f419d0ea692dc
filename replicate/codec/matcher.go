package codec

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
)

// What a copy must save to be worth its token, bytes.
const (
	minSelf     = 8        // copy from the same address
	minZeroRun  = 32       // zeroes within a chunk
	minRecent   = 12       // copy from a recent place
	minNew      = 40       // copy from a new place
	recentReach = 8 << 10  // literals after which a recent place is only tried where a chunk begins
	lookupAfter = 16       // literals after which the index is asked
	enough      = 64 << 10 // a match so long is not compared with others
)

// window is contiguous leaf blocks of a volume, old beside new.
type window struct {
	volume   int // its number
	off      int64
	old, new []byte
}

// sources knows the volumes that content can be copied from.
type sources interface {
	// source returns the number of a volume and its old content; false if this epoch does not show it.
	source(v ident.VolumeID) (number int, old View, ok bool)
}

// matcher finds where new content comes from. It keeps the three last places, as cursors, over all chunks of an epoch.
type matcher struct {
	index   *index // nil: only the same address and recent places
	volumes sources
	recents [3]*cursor
	trial   *cursor // of the location that is being tried
	spare   *cursor // of the best location so far
	out     []match
	anchors anchors
}

func newMatcher() *matcher {
	m := &matcher{trial: &cursor{}, spare: &cursor{}}
	for i := range m.recents {
		m.recents[i] = &cursor{}
	}
	return m
}

// start forgets what another epoch left.
func (m *matcher) start(x *index, volumes sources) {
	m.index, m.volumes = x, volumes
	for _, c := range m.recents {
		c.aim(place{}, nil)
	}
}

// cover returns copies for the chunk [a, b) of w, sorted and not overlapping. They are valid until the next call.
func (m *matcher) cover(w *window, a, b int) ([]match, error) {
	m.out = m.out[:0]
	m.anchors.start(a)
	for _, c := range m.recents {
		c.good = a
	}
	lit := a // the first byte that no match covers
	for p := a; p+8 <= b; {
		best, err := m.here(w, p, lit, b)
		if err != nil {
			return nil, err
		}
		if best.n == 0 && m.index != nil && p-lit >= lookupAfter {
			if best, err = m.lookup(w, p, lit, a, b); err != nil {
				return nil, err
			}
		}
		if best.n == 0 {
			p++
			continue
		}
		m.accept(best)
		p = best.at + best.n
		lit = p
	}
	return m.out, nil
}

// here tries the same address, zeroes and the recent places at p.
func (m *matcher) here(w *window, p, lit, b int) (best match, err error) {
	word := load64(w.new, p)
	if load64(w.old, p) == word {
		best = match{at: p, n: 8 + matchForward(w.new[p+8:b], w.old[p+8:b]), op: opSelf}
	}
	if word == 0 && best.n < minZeroRun {
		if n := 8 + zeroPrefix(w.new[p+8:b]); n >= minZeroRun {
			return match{at: p, n: n, op: opZero}, nil
		}
	}
	if best.n >= enough {
		return best, nil
	}
	for _, c := range m.recents {
		if c.view == nil || p-c.good > recentReach {
			continue
		}
		addr := w.off + int64(p) + c.from.disp
		old, err := c.ahead(addr)
		if err != nil {
			return best, m.sourceError(c.from, addr, err)
		}
		if len(old) == 0 || old[0] != w.new[p] || len(old) >= 8 && load64(old, 0) != word {
			continue
		}
		n, err := c.extend(w.new[p:b], addr)
		if err != nil {
			return best, m.sourceError(c.from, addr, err)
		}
		if n >= minRecent && n > best.n {
			best = match{at: p, n: n, op: opNear, from: c.from}
		}
	}
	return best, nil
}

func (m *matcher) sourceError(from place, addr int64, err error) error {
	return fmt.Errorf("old content of volume number %d at %d: %w", from.volume, addr, err)
}

// accept adds a match. One that the index found may reach back over shorter ones before it.
func (m *matcher) accept(x match) {
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
	if x.op != opNear {
		return
	}
	for i, c := range m.recents {
		if c.view != nil && c.from == x.from {
			copy(m.recents[1:i+1], m.recents[:i])
			m.recents[0] = c
			c.good = x.at + x.n
			return
		}
	}
	// The index found a new place; its cursor is the spare one.
	c := m.spare
	m.spare = m.recents[2]
	m.recents[2], m.recents[1], m.recents[0] = m.recents[1], m.recents[0], c
	c.good = x.at + x.n
}
