package codec

import "fmt"

// Encoding is how a chunk travels: what most of its changed bytes came from.
type Encoding uint8

// The encodings.
const (
	EncodedNotice  Encoding = iota // unchanged: a notice
	EncodedZero                    // zeroes
	EncodedPatch                   // the same address, with few literal bytes
	EncodedCopy                    // earlier content from elsewhere in the group
	EncodedRepeat                  // what the epoch made before
	EncodedStream                  // deflate streams, as what they hold
	EncodedLiteral                 // literal bytes, compressed
	EncodedRaw                     // literal bytes that nothing compresses
	NumEncodings
)

var encodingNames = [NumEncodings]string{"notice", "zero", "patch", "copy", "repeat", "stream", "literal", "raw"}

func (e Encoding) String() string {
	if e < NumEncodings {
		return encodingNames[e]
	}
	return fmt.Sprintf("Encoding(%d)", uint8(e))
}

// EncodingCount is what chunks of one class in one encoding came to.
type EncodingCount struct {
	Chunks uint64
	Bytes  uint64 // of the chunks; for notices, of the leaf blocks
	Wire   uint64 // bytes of packs, shares of shared streams included
}

// EncodingCounts is an EncodingCount for each class and encoding.
type EncodingCounts [numClasses][NumEncodings]EncodingCount

// Add adds o.
func (c *EncodingCounts) Add(o *EncodingCounts) {
	for i := range c {
		for k := range c[i] {
			c[i][k].Chunks += o[i][k].Chunks
			c[i][k].Bytes += o[i][k].Bytes
			c[i][k].Wire += o[i][k].Wire
		}
	}
}

// encodingOf is how a chunk of n bytes is encoded that the matches cover; raw: what is left is not compressed.
func encodingOf(n int, matches []match, raw bool) Encoding {
	var bytes [NumEncodings]int
	same := 0
	for i := range matches {
		m := &matches[i]
		switch {
		case m.op == opInner:
			bytes[EncodedStream] += m.n
		case m.op == opNear && m.from.volume == made:
			bytes[EncodedRepeat] += m.n
		case m.op == opNear:
			bytes[EncodedCopy] += m.n
		default:
			same += m.n
		}
		n -= m.n
	}
	best := EncodedLiteral
	switch {
	case same > 0:
		best = EncodedPatch
	case raw:
		best = EncodedRaw
	}
	bytes[best] = n
	for e, got := range bytes {
		if got > bytes[best] {
			best = Encoding(e)
		}
	}
	return best
}
