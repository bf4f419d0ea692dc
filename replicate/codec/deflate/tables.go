package deflate

import "math/bits"

// The alphabets of RFC 1951, section 3.2.
const (
	literals    = 256
	endOfBlock  = 256
	lengthCodes = 29
	litCodes    = literals + 1 + lengthCodes
	distCodes   = 30
	blCodes     = 19
	maxBits     = 15
	maxBLBits   = 7
)

// Codes of the code length alphabet that repeat.
const (
	repeat3to6     = 16 // the last length, 2 bits
	repeatZero3    = 17 // zeroes, 3 bits
	repeatZero11   = 18 // zeroes, 7 bits
	minMatch       = 3
	maxMatch       = 258
	blockSymbols   = 1<<14 - 1 // a block is closed when it holds so many
	heapSize       = 2*litCodes + 1
	distTableBytes = 512
)

var (
	extraLength = [lengthCodes]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	extraDist   = [distCodes]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12,
		13, 13}
	extraBL = [blCodes]uint8{16: 2, 17: 3, 18: 7}
	blOrder = [blCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

	lengthCode [maxMatch - minMatch + 1]uint8 // code of a match length, less minMatch
	baseLength [lengthCodes]uint16
	distCode   [distTableBytes]uint8 // code of a distance less 1: below 256 itself, else 256 + its upper bits
	baseDist   [distCodes]uint16

	fixedLit  [litCodes + 2]symbolCode
	fixedDist [distCodes]symbolCode
)

// symbolCode is a Huffman code as it is written, least significant bit first.
type symbolCode struct {
	code uint16
	len  uint16
}

func init() {
	at := 0
	for code := range lengthCodes - 1 {
		baseLength[code] = uint16(at)
		for range 1 << extraLength[code] {
			lengthCode[at] = uint8(code)
			at++
		}
	}
	lengthCode[maxMatch-minMatch] = lengthCodes - 1
	at = 0
	for code := range 16 {
		baseDist[code] = uint16(at)
		for range 1 << extraDist[code] {
			distCode[at] = uint8(code)
			at++
		}
	}
	at >>= 7
	for code := 16; code < distCodes; code++ {
		baseDist[code] = uint16(at << 7)
		for range 1 << (extraDist[code] - 7) {
			distCode[256+at] = uint8(code)
			at++
		}
	}
	fixed()
}

// fixed fills the fixed codes of RFC 1951, section 3.2.6.
func fixed() {
	var count [maxBits + 1]uint16
	for n := range fixedLit {
		l := uint16(8)
		switch {
		case n >= 144 && n < 256:
			l = 9
		case n >= 256 && n < 280:
			l = 7
		}
		fixedLit[n].len = l
		count[l]++
	}
	assign(fixedLit[:], count)
	for n := range fixedDist {
		fixedDist[n] = symbolCode{reverse(uint16(n), 5), 5}
	}
}

// assign gives canonical codes to symbols whose lengths are set (RFC 1951, section 3.2.2).
func assign(codes []symbolCode, count [maxBits + 1]uint16) {
	var next [maxBits + 1]uint16
	code := uint16(0)
	for l := 1; l <= maxBits; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
	}
	for n := range codes {
		if l := codes[n].len; l != 0 {
			codes[n].code = reverse(next[l], l)
			next[l]++
		}
	}
}

// reverse turns the low n bits of v around.
func reverse(v, n uint16) uint16 { return bits.Reverse16(v) >> (16 - n) }

// codeOfDist is the code of a distance less 1.
func codeOfDist(d uint16) uint8 {
	if d < 256 {
		return distCode[d]
	}
	return distCode[256+d>>7]
}
