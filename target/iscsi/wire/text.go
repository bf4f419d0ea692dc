package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrText is a data segment that is not a list of key=value pairs.
var ErrText = errors.New("malformed text")

// Limits of text (RFC 7143, sections 6.1 and 6.2): a key has at most 63 bytes, a value at most 255 unless the key
// says otherwise; the longest allowed here covers CHAP binary items and SendTargets.
const (
	keyMax   = 63
	valueMax = 8192
)

// Pair is one key and its value.
type Pair struct{ Key, Value string }

// ParseText reads key=value pairs, each ended by a zero byte (RFC 7143, section 6.1). The last zero byte may be
// missing; more than one in a row is tolerated.
func ParseText(b []byte) ([]Pair, error) {
	var pairs []Pair
	for len(b) > 0 {
		item, rest, _ := bytes.Cut(b, []byte{0})
		b = rest
		if len(item) == 0 {
			continue
		}
		key, value, ok := bytes.Cut(item, []byte{'='})
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: %.40q has no =", ErrText, item)
		case len(key) == 0 || len(key) > keyMax:
			return nil, fmt.Errorf("%w: key of %d bytes, want 1 to %d", ErrText, len(key), keyMax)
		case len(value) > valueMax:
			return nil, fmt.Errorf("%w: value of %s has %d bytes, limit %d", ErrText, key, len(value), valueMax)
		}
		pairs = append(pairs, Pair{string(key), string(value)})
	}
	return pairs, nil
}

// AppendText appends pairs in the form that ParseText reads.
func AppendText(dst []byte, pairs ...Pair) []byte {
	for _, p := range pairs {
		dst = append(dst, p.Key...)
		dst = append(dst, '=')
		dst = append(dst, p.Value...)
		dst = append(dst, 0)
	}
	return dst
}

// Lookup returns the value of the first pair with the key.
func Lookup(pairs []Pair, key string) (string, bool) {
	for _, p := range pairs {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}
