package codec

import "math"

// cursorBytes is how much old content a cursor holds.
const cursorBytes = 8 << 10

// cursor reads the old content of one volume, or what the epoch made, at one displacement, a piece at a time.
type cursor struct {
	from  place
	view  View
	floor int64 // content before this address is not to be used
	limit int64 // content from this address on is not to be used
	lo    int64 // address of buf[0]
	n     int   // bytes of buf that are valid
	buf   [cursorBytes]byte

	base int64 // address of the window's first byte if there were no displacement
	good int   // end of the last match that was found here, an offset in the window
}

// aim points the cursor at another place and forgets what it holds.
func (c *cursor) aim(from place, view View, base int64) {
	c.from, c.view, c.base, c.n = from, view, base, 0
	c.floor, c.limit = 0, math.MaxInt64
}

// aimMade points the cursor into the stream of results.
func (c *cursor) aimMade(from place, r *results, base int64) {
	c.from, c.view, c.base, c.n = from, r, base, 0
	c.floor, c.limit = max(0, r.total-MaxRepeat), r.total
}

// addr is the source address of offset p in the window.
func (c *cursor) addr(p int) int64 { return c.base + int64(p) + c.from.disp }

// ahead returns content from addr on, at least one byte unless that is not to be used.
func (c *cursor) ahead(addr int64) ([]byte, error) {
	if addr < c.floor || addr >= c.limit {
		return nil, nil
	}
	if addr < c.lo || addr >= c.lo+int64(c.n) {
		if err := c.load(blockFloor(addr)); err != nil {
			return nil, err
		}
	}
	return c.buf[addr-c.lo : c.n], nil
}

// behind returns content that ends at addr, at least one byte unless that is not to be used.
func (c *cursor) behind(addr int64) ([]byte, error) {
	if addr <= c.floor || addr > c.limit {
		return nil, nil
	}
	if addr <= c.lo || addr > c.lo+int64(c.n) {
		if err := c.load(max(0, blockCeil(addr)-cursorBytes)); err != nil {
			return nil, err
		}
	}
	return c.buf[max(0, c.floor-c.lo) : addr-c.lo], nil
}

func (c *cursor) load(lo int64) error {
	c.n = 0
	if err := c.view.ReadAt(c.buf[:], lo); err != nil {
		return err
	}
	c.lo, c.n = lo, int(min(cursorBytes, c.limit-lo))
	return nil
}

// extend is how far new, which lies at address addr of the cursor's volume, agrees with what is there.
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

// extendBack is how far the end of new, which lies just before addr, agrees with what is there.
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
