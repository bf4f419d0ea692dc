package codec

import (
	"github.com/klauspost/compress/s2"

	"github.com/weirstor/weir/classify/engine"
)

// ratioPiece is how much of a column is compressed to see what that brings, twice, bytes.
const ratioPiece = 4 << 10

// squeezeWork is what compressing a byte takes, and expanding it to compare, picoseconds of one core.
var squeezeWork = [engine.NumSqueeze]int64{
	engine.SqueezeNone: 200, engine.SqueezeS2: 1800, engine.SqueezeLow: 4500, engine.SqueezeNormal: 6500,
	engine.SqueezeHigh: 13000, engine.SqueezeMost: 60000,
}

// squeezeStart is what beginning to compress a column takes, nanoseconds.
var squeezeStart = [engine.NumSqueeze]int64{
	engine.SqueezeS2: 1000, engine.SqueezeLow: 6000, engine.SqueezeNormal: 8000, engine.SqueezeHigh: 12000,
	engine.SqueezeMost: 40000,
}

// sampleRatio is what S2 makes of two pieces of b; 1 if it gains nothing.
func sampleRatio(b, scratch []byte) (ratio float32, kept []byte) {
	n, out := 0, 0
	for _, at := range []int{len(b) / 4, len(b) / 4 * 3} {
		piece := b[at:min(len(b), at+ratioPiece)]
		scratch = s2.Encode(scratch[:cap(scratch)], piece)
		n, out = n+len(piece), out+len(scratch)
	}
	if n == 0 {
		return 1, scratch
	}
	return min(1, float32(out)/float32(n)), scratch
}

// squeezes decides how the columns of the open frame are compressed.
func (j *job) squeezes() (e [numColumns]engine.Squeeze) {
	for i, col := range j.frame.cols {
		if i == colRaw || len(col) < minDeflate {
			continue
		}
		var x engine.Column
		x, j.scratch = columnFeatures(i, col, j.deflated, j.scratch)
		e[i] = j.enc.opt.Model.Squeeze(j.sensitivity, &x)
		if r := j.enc.opt.Recorder; r != nil || j.enc.opt.TryAll {
			out := j.trySqueezes(col)
			if r != nil {
				r.ColumnSample(&x, &out)
			}
			if j.enc.opt.TryAll {
				e[i] = engine.Squeeze(fewest(out[:]))
			}
		}
		j.deflated += int64(len(col))
	}
	return e
}

// trySqueezes compresses a column in all ways.
func (j *job) trySqueezes(col []byte) (out [engine.NumSqueeze]engine.Outcome) {
	n := int64(len(col))
	for e := range out {
		size := len(col)
		switch engine.Squeeze(e) {
		case engine.SqueezeNone:
		case engine.SqueezeS2:
			j.scratch = s2.Encode(j.scratch[:cap(j.scratch)], col)
			size = min(size, len(j.scratch))
		default:
			j.scratch = compressor(engine.Squeeze(e)).EncodeAll(col, j.scratch[:0])
			size = min(size, len(j.scratch)-4)
		}
		out[e] = engine.Outcome{Bytes: int64(size), Work: squeezeStart[e] + n*squeezeWork[e]/1000}
	}
	return out
}

// fewest is the answer with the fewest bytes, the one with the least work among equals.
func fewest(out []engine.Outcome) (answer int) {
	for i, o := range out {
		if o.Bytes < out[answer].Bytes || o.Bytes == out[answer].Bytes && o.Work < out[answer].Work {
			answer = i
		}
	}
	return answer
}
