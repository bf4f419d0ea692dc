package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// errMalformed says that the data of an option does not have the layout that the option demands.
var errMalformed = errors.New("malformed option")

// maxQueries bounds the queries of one meta context option; with more, a client is told that it is too big.
const maxQueries = 256

// infoRequest is the data of INFO and GO; proto.md, "NBD_OPT_INFO (6) and NBD_OPT_GO (7)".
type infoRequest struct {
	name  string
	wants []uint16 // information types
}

func (q infoRequest) wantsInfo(kind uint16) bool {
	for _, w := range q.wants {
		if w == kind {
			return true
		}
	}
	return false
}

func parseInfo(data []byte) (infoRequest, error) {
	c := cursor{rest: data}
	var q infoRequest
	q.name = c.text()
	n := int(c.uint16())
	if c.err == nil && len(c.rest) != 2*n {
		return q, fmt.Errorf("%w: %d information requests in %d bytes", errMalformed, n, len(c.rest))
	}
	for range n {
		q.wants = append(q.wants, c.uint16())
	}
	return q, c.end()
}

// metaRequest is the data of LIST_META_CONTEXT and SET_META_CONTEXT; proto.md, "NBD_OPT_LIST_META_CONTEXT (9)".
type metaRequest struct {
	name    string
	queries []string
}

var errTooManyQueries = errors.New("too many metadata context queries")

func parseMeta(data []byte) (metaRequest, error) {
	c := cursor{rest: data}
	var q metaRequest
	q.name = c.text()
	n := c.uint32()
	if c.err == nil && uint64(n) > uint64(len(c.rest)/4) {
		return q, fmt.Errorf("%w: %d queries in %d bytes", errMalformed, n, len(c.rest))
	}
	if n > maxQueries {
		return q, fmt.Errorf("%w: %d, at most %d", errTooManyQueries, n, maxQueries)
	}
	for range n {
		q.queries = append(q.queries, c.text())
	}
	return q, c.end()
}

// checkText returns an error unless s is a string in the sense of proto.md, "Conventions".
func checkText(s string) error {
	switch {
	case len(s) > maxString:
		return fmt.Errorf("%w: string of %d bytes, at most %d", errMalformed, len(s), maxString)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: string is not UTF-8", errMalformed)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%w: string holds a NUL", errMalformed)
	}
	return nil
}

// cursor takes fields off the front of rest. After the first error it returns zero values.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) take(n uint64) []byte {
	if c.err != nil {
		return nil
	}
	if n > uint64(len(c.rest)) {
		c.err = fmt.Errorf("%w: field of %d bytes with %d left", errMalformed, n, len(c.rest))
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// text takes a string that comes after its length.
func (c *cursor) text() string {
	s := string(c.take(uint64(c.uint32())))
	if c.err == nil {
		c.err = checkText(s)
	}
	return s
}

// end returns the first error, one for bytes left over included.
func (c *cursor) end() error {
	if c.err == nil && len(c.rest) > 0 {
		return fmt.Errorf("%w: %d bytes too many", errMalformed, len(c.rest))
	}
	return c.err
}
