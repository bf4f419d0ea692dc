package codec

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
)

// volume encodes what belongs to one pass of one volume.
func (j *job) volume(ctx context.Context, i, pass int) error {
	c := &j.changes[i]
	if pass == passMeta && c.Map == nil {
		return nil
	}
	if s := j.sensitivityOf(c); s != j.sensitivity && len(c.Extents) > 0 {
		if err := j.closeFrame(); err != nil {
			return err
		}
		j.sensitivity = s
	}
	for k := 0; k < len(c.Extents); {
		lo, hi, n, err := j.joined(c, k)
		if err != nil {
			return err
		}
		if err := j.blockRun(ctx, i, pass, lo, hi); err != nil {
			return err
		}
		k += n
	}
	return j.closeZeroes(i, pass)
}

func (j *job) sensitivityOf(c *VolumeChange) Sensitivity {
	if c.Sensitivity != nil {
		return *c.Sensitivity
	}
	return j.enc.opt.Sensitivity
}

// joined joins n extents from extent k on whose leaf blocks follow each other, and returns these.
func (j *job) joined(c *VolumeChange, k int) (lo, hi int64, n int, err error) {
	for ; k+n < len(c.Extents); n++ {
		x := c.Extents[k+n]
		if x.Off < 0 || x.Len <= 0 || x.Len > c.Size-x.Off || k+n > 0 && x.Off < c.Extents[k+n-1].Off+c.Extents[k+n-1].Len {
			return 0, 0, 0, fmt.Errorf("extent of %d bytes at %d is out of order, or beyond the %d bytes of the volume", x.Len, x.Off, c.Size)
		}
		if n == 0 {
			lo = blockFloor(x.Off)
		} else if blockFloor(x.Off) > hi {
			break
		}
		hi = blockCeil(x.Off + x.Len)
	}
	return lo, hi, n, nil
}

// blockRun encodes what belongs to one pass of the leaf blocks [at, end).
func (j *job) blockRun(ctx context.Context, i, pass int, at, end int64) error {
	for at < end {
		p, to := passAt(j.changes[i].Map, at)
		next := at + blockSize
		for next < end && next-at < windowBytes && next < to {
			next += blockSize
		}
		if p == pass {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := j.window(i, pass, at, int(next-at), next < end && next < to)
			if err != nil {
				return err
			}
			next = at + int64(n)
		}
		at = next
	}
	return nil
}

// window encodes n bytes of leaf blocks at off, or fewer when more of the same pass follow, and returns how many.
func (j *job) window(i, pass int, off int64, n int, more bool) (int, error) {
	c := &j.changes[i]
	w := &window{volume: j.frame.number(c.Volume), off: off, old: j.old[:n], new: j.new[:n]}
	if err := readView(c.Old, w.old, c.Volume, off); err != nil {
		return 0, err
	}
	if err := readView(c.New, w.new, c.Volume, off); err != nil {
		return 0, err
	}
	j.blocks = j.blocks[:0]
	for at := 0; at < n; at += blockSize {
		j.blocks = append(j.blocks, look(w.old[at:at+blockSize], w.new[at:at+blockSize], pass == passMeta))
	}
	if pass == passData {
		joinRuns(j.blocks)
	}
	w.blocks = j.blocks
	from := 0
	for from < len(w.blocks) {
		to := from + 1
		for to < len(w.blocks) && j.sameChunk(from, to) {
			to++
		}
		done, err := j.blocksOf(i, pass, w, from, to, more && to == len(w.blocks))
		if err != nil {
			return 0, err
		}
		if from = done; done < to {
			break
		}
	}
	j.tally(i, off, w.blocks[:from])
	return from * blockSize, nil
}

// sameChunk reports whether block to can go on with the chunk that began with block from.
func (j *job) sameChunk(from, to int) bool {
	return j.blocks[from].unchanged == j.blocks[to].unchanged && j.blocks[from].class == j.blocks[to].class
}

// tally adds blocks, the first of which is at off, to the volume's state and counts.
func (j *job) tally(i int, off int64, blocks []block) {
	c, s := &j.changes[i], &j.summary.Volumes[i]
	for k := range blocks {
		b := &blocks[k]
		n := &s.Counts[b.class]
		n.HostBytes += uint64(min(blockSize, c.Size-off))
		n.ShareBytes += uint64(b.changed)
		s.State = s.State.Replace(c.Volume, uint64(off/blockSize), b.before, b.after)
		if b.unchanged {
			s.Encodings[b.class][EncodedNotice].Bytes += uint64(min(blockSize, c.Size-off))
			j.notices[i].add(off, min(off+blockSize, c.Size))
		}
		off += blockSize
	}
}

// add counts one unchanged block.
func (n *notice) add(off, end int64) {
	if n.blocks == 0 {
		n.off = off
	}
	n.off, n.end = min(n.off, off), max(n.end, end)
	n.blocks++
}

// blocksOf encodes blocks [from, to) of w, which are of one class, and returns the first that it did not: to, or with
// more, when it is better to go on with what follows, a lower one.
func (j *job) blocksOf(i, pass int, w *window, from, to int, more bool) (int, error) {
	first := &j.blocks[from]
	switch {
	case first.unchanged:
		return to, nil
	case first.zero():
		return to, j.zero(i, pass, w.off+int64(from*blockSize), j.blocks[from:to])
	}
	if err := j.closeZeroes(i, pass); err != nil {
		return 0, err
	}
	a, b := j.bounds(i, w, from, to)
	level := j.level(i, pass, w, from, to, a, b)
	matches := j.matcher.cover(w, a, b)
	if pass == passData && level == engine.SearchInner {
		u, end := j.unpacker, j.dataUpTo(to)
		matches = u.unpack(w, a, b, end*blockSize, matches, j.matcher.stream)
		switch {
		case u.beyond > b: // a stream ends in blocks of another class
			to = int(blockCeil(int64(u.beyond)) / blockSize)
			for k := from; k < to; k++ {
				j.blocks[k].class = classify.LargeData
			}
			return j.blocksOf(i, pass, w, from, to, more)
		case u.cut > a && more && end == len(j.blocks):
			matches, b, to = u.before(matches), u.cut, u.cut/blockSize
		}
	}
	j.enc.pastOf(j.changes[i].Volume)[pass].remember(level, b-a, matches)
	j.dataChunk(i, pass, w, from, to, a, b, matches)
	return to, j.grown(int64((to - from) * blockSize))
}

// level decides where copies for the chunk [a, b) of w are looked for, and tells the matcher.
func (j *job) level(i, pass int, w *window, from, to, a, b int) engine.Search {
	opt, x := &j.enc.opt, j.features(i, pass, w, from, to, a, b)
	level := opt.Model.Search(j.sensitivity, &x)
	if opt.Recorder != nil || opt.TryAll {
		out := j.try(w, to, a, b, pass == passData)
		if opt.Recorder != nil {
			opt.Recorder.RunSample(&x, &out)
		}
		if opt.TryAll {
			level = engine.Search(fewest(out[:]))
		}
	}
	j.matcher.level = level
	j.traits, j.answer = x, level
	return level
}

// bounds are the first and the last byte in w of the chunk of blocks [from, to): LargeData is whole blocks.
func (j *job) bounds(i int, w *window, from, to int) (a, b int) {
	first, last := &j.blocks[from], &j.blocks[to-1]
	a, b = from*blockSize, to*blockSize
	if first.class != classify.LargeData {
		a, b = a+first.first, b-blockSize+last.last
	}
	return a, min(b, int(j.changes[i].Size-w.off))
}

// dataUpTo is the first block from k on that did not get new data.
func (j *job) dataUpTo(k int) int {
	for k < len(j.blocks) && !j.blocks[k].unchanged && !j.blocks[k].zero() {
		k++
	}
	return k
}

// dataChunk writes the chunk [a, b) of w, which touches the blocks [from, to).
func (j *job) dataChunk(i, pass int, w *window, from, to, a, b int, matches []match) {
	c, class := &j.changes[i], j.blocks[from].class
	j.enc.learn(c.Volume, w.off+int64(from*blockSize), w.new[from*blockSize:to*blockSize])
	j.frame.begin(pass, c.Volume, int64((to-from)*blockSize), 0)
	for k := from; k < to; k++ {
		j.frame.leaves(j.blocks[k].before, j.blocks[k].after)
	}
	j.matcher.end(w, a, b)
	encoding, got := j.frame.dataChunk(w.off+int64(a), class, w.new[a:b], a, matches)
	s := &j.summary.Volumes[i]
	s.Counts[class].Chunks++
	n := &s.Encodings[class][encoding]
	n.Chunks, n.Bytes = n.Chunks+1, n.Bytes+uint64(b-a)
	j.decided(c.Volume, w.off+int64(a), b-a, class, encoding, matches, got)
}
