package codec

import (
	"encoding/binary"
	"math/bits"
)

func load64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// matchForward is the length of the common prefix of a and b.
func matchForward(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := load64(a, i) ^ load64(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// matchBackward is the length of the common suffix of a and b.
func matchBackward(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := n
	for ; i >= 8; i -= 8 {
		if x := load64(a, i-8) ^ load64(b, i-8); x != 0 {
			return n - i + bits.LeadingZeros64(x)>>3
		}
	}
	for i > 0 && a[i-1] == b[i-1] {
		i--
	}
	return n - i
}

// zeroPrefix is the number of zero bytes that b begins with.
func zeroPrefix(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if x := load64(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
	}
	for i < len(b) && b[i] == 0 {
		i++
	}
	return i
}

// changedBytes is the number of positions at which a and b, of the same length, differ.
func changedBytes(a, b []byte) int {
	n, i := 0, 0
	for ; i+8 <= len(a); i += 8 {
		if x := load64(a, i) ^ load64(b, i); x != 0 {
			x |= x >> 4
			x |= x >> 2
			x |= x >> 1
			n += bits.OnesCount64(x & 0x0101010101010101)
		}
	}
	for ; i < len(a); i++ {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
