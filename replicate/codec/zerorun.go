package codec

import (
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
)

// zeroRun is a zero chunk that may still grow.
type zeroRun struct {
	off, end int64
	leaves   []leaf.Leaf // before
}

// zero adds blocks that became zero to the zero chunk that is open, or begins one.
func (j *job) zero(i, pass int, off int64, blocks []block) error {
	z := &j.zeroes
	if len(z.leaves) > 0 && (z.end != off || off+int64(len(blocks)*blockSize)-z.off > MaxSegmentZero) {
		if err := j.closeZeroes(i, pass); err != nil {
			return err
		}
	}
	if len(z.leaves) == 0 {
		z.off = off
	}
	for k := range blocks {
		z.leaves = append(z.leaves, blocks[k].before)
	}
	z.end = off + int64(len(blocks)*blockSize)
	return nil
}

// closeZeroes writes the zero chunk that is open, if any.
func (j *job) closeZeroes(i, pass int) error {
	z, c := &j.zeroes, &j.changes[i]
	if len(z.leaves) == 0 {
		return nil
	}
	hull := z.end - z.off
	j.frame.begin(pass, c.Volume, 0, hull)
	for _, before := range z.leaves {
		j.frame.leaves(before, 0)
	}
	j.frame.zeroChunk(z.off, min(z.end, c.Size)-z.off)
	s := &j.summary.Volumes[i]
	s.Counts[classify.ZeroBlock].Chunks++
	n := &s.Encodings[classify.ZeroBlock][EncodedZero]
	n.Chunks, n.Bytes = n.Chunks+1, n.Bytes+uint64(hull)
	z.leaves = z.leaves[:0]
	return j.grown(hull)
}
