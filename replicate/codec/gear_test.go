package codec

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// maxima are the anchors of content by their definition.
func maxima(content []byte, lo, sub int) (list []anchor) {
	var hs []uint64
	for i := range len(content) - gearBytes + 1 {
		var h uint64
		for _, c := range content[i : i+gearBytes] {
			h = h<<2 + gearTable[c]
		}
		hs = append(hs, h)
	}
	span := min(len(hs), sub-gearBytes+1)
	for a := 0; a+span <= len(hs); a++ {
		at := a
		for i := a; i < a+span; i++ {
			if hs[i] > hs[at] {
				at = i
			}
		}
		n := len(list)
		if hs[at] != gearZero && (n == 0 || list[n-1].h != hs[at] || lo+at-list[n-1].at >= gearBytes) {
			list = append(list, anchor{lo + at, hs[at]})
		}
	}
	return list
}

func TestAnchorsAreMaxima(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var x anchors
	for _, sub := range []int{minSubBlock, 512, maxSubBlock} {
		for _, n := range []int{gearBytes, gearBytes + 1, sub - 1, sub, sub + 1, 2*sub + 17, anchorStep} {
			content := make([]byte, n)
			for round := range 6 {
				switch round {
				case 0: // zeroes
				case 1:
					for i := range content {
						content[i] = 0xee
					}
				case 2:
					for i := range content {
						content[i] = byte(i % 37)
					}
				default:
					fill(rnd, content[rnd.IntN(n):])
				}
				x.search(content, 100, sub)
				if want := maxima(content, 100, sub); !slices.Equal(x.list, want) {
					t.Fatalf("%d bytes, sub-block %d, round %d: anchors %v, want %v", n, sub, round, x.list, want)
				}
			}
		}
	}
}
