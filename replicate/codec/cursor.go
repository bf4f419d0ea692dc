package codec

// cursorBytes is how much old content a cursor holds.
const cursorBytes = 8 << 10

// cursor reads the old content of one volume at one displacement, a piece at a time.
type cursor struct {
	from place
	view View
	lo   int64 // address of buf[0]
	n    int   // bytes of buf that are valid
	buf  [cursorBytes]byte

	good int // end of the last match that was found here, an offset in the window
}

// aim points the cursor at another place and forgets what it holds.
func (c *cursor) aim(from place, view View) {
	c.from, c.view, c.n = from, view, 0
}

// ahead returns old content from addr on, at least one byte unless addr is negative.
func (c *cursor) ahead(addr int64) ([]byte, error) {
	if addr < 0 {
		return nil, nil
	}
	if addr < c.lo || addr >= c.lo+int64(c.n) {
		if err := c.load(blockFloor(addr)); err != nil {
			return nil, err
		}
	}
	return c.buf[addr-c.lo : c.n], nil
}

// behind returns old content that ends at addr, at least one byte unless addr is not positive.
func (c *cursor) behind(addr int64) ([]byte, error) {
	if addr <= 0 {
		return nil, nil
	}
	if addr <= c.lo || addr > c.lo+int64(c.n) {
		if err := c.load(max(0, blockCeil(addr)-cursorBytes)); err != nil {
			return nil, err
		}
	}
	return c.buf[:addr-c.lo], nil
}

func (c *cursor) load(lo int64) error {
	c.n = 0
	if err := c.view.ReadAt(c.buf[:], lo); err != nil {
		return err
	}
	c.lo, c.n = lo, cursorBytes
	return nil
}

// extend is how far new, which lies at address addr of the cursor's volume, agrees with old content.
func (c *cursor) extend(new []byte, addr int64) (n int, err error) {
	for n < len(new) {
		old, err := c.ahead(addr + int64(n))
		if err != nil || len(old) == 0 {
			return n, err
		}
		k := matchForward(new[n:], old)
		n += k
		if k < len(old) {
			break
		}
	}
	return n, nil
}

// extendBack is how far the end of new, which lies just before addr, agrees with old content.
func (c *cursor) extendBack(new []byte, addr int64) (n int, err error) {
	for n < len(new) {
		old, err := c.behind(addr - int64(n))
		if err != nil || len(old) == 0 {
			return n, err
		}
		k := matchBackward(new[:len(new)-n], old)
		n += k
		if k < len(old) {
			break
		}
	}
	return n, nil
}
