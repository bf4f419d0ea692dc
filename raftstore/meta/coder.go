package meta

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrBadEncoding says that bytes are not a command or snapshot of a version that this build reads.
var ErrBadEncoding = errors.New("not a valid encoding of cluster metadata")

// coder writes fields to b, or takes them off b when reading. One function per type that calls its methods therefore
// describes both directions. After the first error it yields zero values.
type coder struct {
	b       []byte
	reading bool
	err     error
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s, %d bytes left", ErrBadEncoding, fmt.Sprintf(format, args...), len(c.b))
	}
}

// fixed codes exactly len(p) bytes.
func (c *coder) fixed(p []byte) {
	if !c.reading {
		c.b = append(c.b, p...)
		return
	}
	if c.err != nil || len(c.b) < len(p) {
		c.fail("cut off in a field of %d bytes", len(p))
		return
	}
	copy(p, c.b)
	c.b = c.b[len(p):]
}

func (c *coder) uvarint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n, size := binary.Uvarint(c.b)
	if c.err != nil || size <= 0 {
		c.fail("bad number")
		return
	}
	*v, c.b = n, c.b[size:]
}

func (c *coder) varint(v *int64) {
	u := uint64(*v)<<1 ^ uint64(*v>>63)
	c.uvarint(&u)
	if c.reading {
		*v = int64(u>>1) ^ -int64(u&1)
	}
}

func (c *coder) uint32(v *uint32) {
	u := uint64(*v)
	c.uvarint(&u)
	if u > 1<<32-1 {
		c.fail("number %d exceeds 32 bits", u)
		return
	}
	*v = uint32(u)
}

func (c *coder) flag(v *bool) {
	var b [1]byte
	if *v {
		b[0] = 1
	}
	c.fixed(b[:])
	if b[0] > 1 {
		c.fail("flag is %d", b[0])
		return
	}
	*v = b[0] == 1
}

// count codes the length of a list of at most limit items that have at least itemBytes each.
func (c *coder) count(n, limit, itemBytes int) int {
	u := uint64(n)
	c.uvarint(&u)
	if c.reading && (u > uint64(limit) || u*uint64(itemBytes) > uint64(len(c.b))) {
		c.fail("list of %d items", u)
		return 0
	}
	return int(u)
}

func (c *coder) text(s *string, limit int) {
	n := c.count(len(*s), limit, 1)
	if !c.reading {
		c.b = append(c.b, *s...)
	} else if c.err == nil {
		*s, c.b = string(c.b[:n]), c.b[n:]
	}
}

// blob codes a byte slice; what is read is a copy.
func (c *coder) blob(p *[]byte, limit int) {
	n := c.count(len(*p), limit, 1)
	if !c.reading {
		c.b = append(c.b, *p...)
	} else if c.err == nil {
		*p, c.b = append([]byte(nil), c.b[:n]...), c.b[n:]
	}
}

// list codes a slice of at most limit items of at least itemBytes each.
func list[T any](c *coder, items *[]T, limit, itemBytes int, item func(*T)) {
	n := c.count(len(*items), limit, itemBytes)
	if c.reading {
		*items = nil
		if n > 0 && c.err == nil {
			*items = make([]T, n)
		}
	}
	for i := range *items {
		item(&(*items)[i])
		if c.err != nil {
			return
		}
	}
}
