package lab

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"math"
	"math/rand/v2"

	"github.com/weirstor/weir/replicate/codec/deflate"
)

// words are what text is made of.
var words = func() (w []string) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 3000 {
		b := make([]byte, 2+rnd.IntN(9))
		for i := range b {
			b[i] = "etaoinshrdlucmfwypvbgkjqxz"[int(26*math.Pow(rnd.Float64(), 2))]
		}
		w = append(w, string(b))
	}
	return w
}()

// phrases are what lines of text are made of.
var phrases = func() (p []string) {
	rnd := rand.New(rand.NewPCG(8, 8))
	for range 6000 {
		var b []byte
		for range 1 + rnd.IntN(6) {
			b = append(b, words[int(float64(len(words))*math.Pow(rnd.Float64(), 3))]...)
			b = append(b, " .,()=:;"[int(8*math.Pow(rnd.Float64(), 3))])
		}
		p = append(p, string(b))
	}
	return p
}()

// text is n bytes of something like source code: lines that resemble earlier ones.
func text(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+512)
	var starts []int
	for len(b) < n {
		starts = append(starts, len(b))
		if k := len(starts); k > 8 && rnd.IntN(3) == 0 {
			from := starts[int(float64(k-2)*math.Sqrt(rnd.Float64()))]
			line := b[from:min(len(b), from+20+rnd.IntN(60))]
			b = append(b, line...)
		}
		for range rnd.IntN(4) {
			b = append(b, '\t')
		}
		for range rnd.IntN(4) {
			b = append(b, phrases[int(float64(len(phrases))*math.Pow(rnd.Float64(), 2))]...)
		}
		b = append(b, '\n')
	}
	return b[:n]
}

// logLines is about n bytes of a log.
func logLines(rnd *rand.Rand, n int) (b []byte) {
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "2026-11-22T15:%02d:%02d.%03d INFO request id=%d path=/api/v1/items/%d status=%d dur=%dus\n", i/60%60,
			i%60, rnd.IntN(1000), rnd.IntN(1<<20), rnd.IntN(5000), 200+rnd.IntN(3)*100, rnd.IntN(90000))
	}
	return b
}

// noise is n bytes that nothing compresses.
func noise(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], rnd.Uint64())
	}
	return b[:n]
}

// page is a database page of 8 KiB: a header, line pointers, and tuples at the end.
func page(rnd *rand.Rand, number int) []byte {
	b := make([]byte, 8192)
	binary.LittleEndian.PutUint64(b, uint64(number)*7919)
	at := len(b)
	for i := range 40 + rnd.IntN(20) {
		n := 60 + rnd.IntN(60)
		at -= n
		binary.LittleEndian.PutUint32(b[24+4*i:], uint32(at<<16|n))
		binary.LittleEndian.PutUint64(b[at:], rnd.Uint64N(1<<24))
		binary.LittleEndian.PutUint32(b[at+8:], uint32(number*60+i))
		copy(b[at+12:at+n], fmt.Sprintf("%x %s", rnd.Uint64(), words[rnd.IntN(len(words))]))
	}
	return b
}

// program is n bytes of something like machine code: few instructions, many addresses.
func program(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		b = append(b, "\x48\x8b\x44\x24\x89\xe8\x0f\x1f\xc3\x55\x90\x74"[rnd.IntN(12)], byte(rnd.IntN(8)*8), byte(rnd.IntN(40)))
		if rnd.IntN(3) == 0 {
			b = binary.LittleEndian.AppendUint32(b, uint32(0x400000+rnd.IntN(1<<16)*16))
		}
	}
	return b[:n]
}

// object is content as a zlib stream, as git keeps it.
func object(c *deflate.Compressor, content []byte) []byte {
	b := c.Append([]byte{0x78, 0x9c}, content, 6)
	return binary.BigEndian.AppendUint32(b, adler32.Checksum(content))
}
