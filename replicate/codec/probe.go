package codec

import "math"

// The entropy probe: literals whose bytes are as evenly spread as random ones are stored as they are.
const (
	probeStep  = 4096 // looked at at a time
	probeMin   = 256  // fewer bytes tell too little
	probeSlack = 0.22 // bits a byte below what as many random bytes would show
)

// xlog2 is n*log2(n) for the counts of one probe.
var xlog2 = func() (t [probeStep + 1]float32) {
	for i := 2; i < len(t); i++ {
		t[i] = float32(float64(i) * math.Log2(float64(i)))
	}
	return t
}()

// probe returns how many of the first bytes of lit, at least one, are of the same kind, and whether they are not
// worth compressing.
func probe(lit []byte) (n int, raw bool) {
	for n < len(lit) {
		step := lit[n:min(len(lit), n+probeStep)]
		r := random(step, raw && n > 0)
		if n > 0 && r != raw {
			return n, raw
		}
		raw = r
		n += len(step)
	}
	return n, raw
}

// random reports whether b looks like random bytes. A rest that is too short to tell is like what is before it.
func random(b []byte, like bool) bool {
	if len(b) < probeMin {
		return like
	}
	var count [256]uint16
	for _, c := range b {
		count[c]++
	}
	n := float64(len(b))
	want := 8 - 255/(2*n*math.Ln2) // of n random bytes, Miller's correction
	return entropy(&count, len(b)) > want-probeSlack
}
