package codec

// lookup asks the index at an anchor and returns the best match that it finds in the chunk [a, b), or none. It may
// reach back to a.
func (m *matcher) lookup(w *window, x anchor, a, b int) (best match) {
	m.work += workLookup
	var room [bucketWays]uint32
	for _, loc := range m.index.lookup(x.h, room[:0]) {
		if found := m.try(w, x, loc, a, b, best.n); found.n > best.n {
			best = found
		}
		if best.n >= enough {
			break
		}
	}
	if best.n < minNew || !gains(w, best) {
		return match{}
	}
	return best
}

// gains reports whether enough of what x covers is not old content of the same address.
func gains(w *window, x match) bool {
	if w.old == nil {
		return true
	}
	old, new := w.old[x.at:x.at+x.n], w.new[x.at:x.at+x.n]
	if len(new) > gainLook {
		old, new = old[:gainLook], new[:gainLook]
	}
	return changedBytes(old, new) >= minGain
}

// gainLook is how many bytes of a match are compared with the same address.
const gainLook = 4096

// try checks one location for anchor x: it rereads the sub-block, finds its maximum, and extends both ways. A match
// longer than than leaves its cursor in m.spare.
func (m *matcher) try(w *window, x anchor, loc uint32, a, b, than int) match {
	id, off := m.index.place(loc)
	number, view, ok := m.volumes.source(id)
	if !ok {
		return match{}
	}
	c := m.trial
	c.aim(place{number, 0}, view, w.off)
	old, err := c.ahead(off)
	if err != nil {
		return match{}
	}
	h, at := gearMax(old[:m.index.sub])
	if h != x.h {
		return match{}
	}
	c.from.disp = off + int64(at) - w.off - int64(x.at)
	if c.from.disp == 0 && number == w.volume && w.old != nil {
		return match{} // the same address is tried everywhere
	}
	addr := off + int64(at)
	n, err := c.extend(w.new[x.at:b], addr)
	if err != nil || n < gearBytes {
		return match{}
	}
	back, err := c.extendBack(w.new[a:x.at], addr)
	if err != nil || n+back <= than {
		return match{}
	}
	m.trial, m.spare = m.spare, c
	return match{at: x.at - back, n: n + back, op: opNear, from: c.from, fresh: true}
}
