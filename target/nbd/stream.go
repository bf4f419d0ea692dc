package nbd

// streamStep is how much of a write that does not fit into the window is stored at once, aligned to its multiples on
// the device.
const streamStep = 1 << 20

// stream serves the write whose header is at pos and which is larger than the window: piece by piece, as it arrives,
// so that its size costs no memory. Until it is answered it may be on the device in part, which NBD allows; with FUA a
// flush at the end covers all pieces. A client that breaks it off has written what had arrived.
func (c *conn) stream(l *lane) {
	defer func() { l.big, l.waiting = false, 0 }()
	head := c.style.requestSize()
	r, err := decodeRequest(l.in[l.pos:], c.style == extended)
	if err != nil {
		l.over, l.bad = true, err
		return
	}
	l.pos += head
	var failed error
	for off, left := r.off, r.n; left > 0; {
		n := min(left, streamStep-off%streamStep)
		if err := c.fill(l, int(n)); err != nil {
			l.over, l.bad = true, err
			return
		}
		if failed == nil {
			failed = c.dev.WriteAt(l.in[l.pos:l.pos+int(n)], int64(off), false)
		}
		l.pos += int(n)
		off, left = off+n, left-n
	}
	if failed == nil && r.fua() {
		failed = c.dev.Flush()
	}
	l.tally.add(&r)
	c.count(&l.tally)
	l.out = c.finish(l.out, &r, failed)
	c.sendLane(l)
}

// fill receives until n bytes that are not parsed are in the window.
func (c *conn) fill(l *lane, n int) error {
	if l.pos+n > len(l.in) {
		l.end = copy(l.in, l.in[l.pos:l.end])
		l.pos = 0
	}
	for l.end-l.pos < n {
		if err := c.receive(l); err != nil {
			return err
		}
	}
	l.waiting = 0
	return nil
}
