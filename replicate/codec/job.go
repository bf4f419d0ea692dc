package codec

import (
	"context"
	"fmt"
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
)

// When a frame is closed, bytes: so that two of them go into a pack, and a decoder's memory stays within its bound.
const (
	frameLiterals = 3 << 20
	frameControl  = 1 << 20
	frameTouched  = 64 << 20
)

// windowBytes is how much content is compared at a time.
const windowBytes = 1 << 20

// workspace is the memory of a job. Groups share them: an epoch of a few KiB must not cost each group some MiB.
type workspace struct {
	old, new []byte
	blocks   []block
	frame    frameWriter
	made     results
	matcher  *matcher
	unpacker *unpacker
	payload  []byte
	scratch  []byte
}

var workspaces = sync.Pool{New: func() any {
	s := &workspace{old: make([]byte, windowBytes), new: make([]byte, windowBytes)}
	s.matcher, s.unpacker = newMatcher(&s.made), newUnpacker(&s.made)
	return s
}}

// job encodes one epoch.
type job struct {
	*workspace
	enc     *Encoder
	changes []VolumeChange
	byID    map[ident.VolumeID]int // index into changes
	put     func(pack.Pack) error
	summary Summary

	packs    *pack.Writer
	verify   *decoder
	touched  int64 // by the open frame
	deflated int64 // bytes that went through the compressor
	zeroes   zeroRun
	notices  []notice // by index of changes
}

// zeroRun is a zero chunk that may still grow.
type zeroRun struct {
	off, end int64
	leaves   []leaf.Leaf // before
}

// notice counts unchanged blocks of a volume.
type notice struct{ off, end, blocks int64 }

func newJob(e *Encoder, changes []VolumeChange, put func(pack.Pack) error) *job {
	j := &job{workspace: workspaces.Get().(*workspace), enc: e, changes: changes, put: put}
	j.byID = make(map[ident.VolumeID]int, len(changes))
	j.summary.Volumes = make([]VolumeSummary, len(changes))
	j.notices = make([]notice, len(changes))
	j.packs = pack.NewWriter(pack.Wire)
	j.frame.startEpoch()
	for i := range changes {
		c := &changes[i]
		j.byID[c.Volume] = i
		j.summary.Volumes[i] = VolumeSummary{Volume: c.Volume, State: c.State}
		if len(c.Extents) > 0 {
			j.frame.number(c.Volume)
		}
	}
	j.made.reset()
	j.matcher.start(e.index, j)
	j.unpacker.start(e.index, j)
	j.verify = newDecoder(Target{Old: j.oldView, Emit: func(Chunk) error { return nil }})
	return j
}

// release gives the memory back.
func (j *job) release() {
	j.matcher.start(nil, nil)
	j.unpacker.start(nil, nil)
	workspaces.Put(j.workspace)
	j.workspace = nil
}

func (j *job) oldView(v ident.VolumeID) View {
	if i, ok := j.byID[v]; ok {
		return j.changes[i].Old
	}
	return nil
}

// source implements sources.
func (j *job) source(v ident.VolumeID) (number int, old View, ok bool) {
	i, ok := j.byID[v]
	if !ok || j.changes[i].Old == nil {
		return 0, nil, false
	}
	return j.frame.number(v), j.changes[i].Old, true
}

func (j *job) run(ctx context.Context) error {
	for pass := range numPass {
		for i := range j.changes {
			if err := j.volume(ctx, i, pass); err != nil {
				return fmt.Errorf("encoding volume %s: %w", j.changes[i].Volume, err)
			}
		}
	}
	for i, n := range j.notices {
		if n.blocks > 0 {
			j.frame.notice(j.changes[i].Volume, n.off, n.end-n.off, n.blocks)
		}
	}
	if err := j.closeFrame(); err != nil {
		return err
	}
	return j.closePack()
}

// volume encodes what belongs to one pass of one volume.
func (j *job) volume(ctx context.Context, i, pass int) error {
	c := &j.changes[i]
	if pass == passMeta && c.Map == nil {
		return nil
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
	c := &j.changes[i]
	a, b := from*blockSize, to*blockSize
	if first.class != classify.LargeData {
		a, b = a+first.first, b-blockSize+j.blocks[to-1].last
	}
	b = min(b, int(c.Size-w.off))
	matches, err := j.matcher.cover(w, a, b)
	if err != nil {
		return 0, err
	}
	if pass == passData && j.enc.opt.Sensitivity != Fast {
		var cut int
		if matches, cut, err = j.unpacker.unpack(w, a, b, matches, j.matcher.stream, more); err != nil {
			return 0, err
		}
		if cut < b {
			b, to = cut, cut/blockSize
		}
	}
	j.dataChunk(i, pass, w, from, to, a, b, matches)
	return to, j.grown(int64((to - from) * blockSize))
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
	j.frame.dataChunk(w.off+int64(a), class, w.new[a:b], a, matches)
	j.summary.Volumes[i].Counts[class].Chunks++
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
	j.summary.Volumes[i].Counts[classify.ZeroBlock].Chunks++
	z.leaves = z.leaves[:0]
	return j.grown(hull)
}

// grown closes the frame when it is large enough.
func (j *job) grown(touched int64) error {
	j.touched += touched
	c := &j.frame.cols
	control := 0
	for i := range numColumns {
		if i != colData && i != colRaw {
			control += len(c[i])
		}
	}
	if len(c[colData])+len(c[colRaw]) < frameLiterals && control < frameControl && j.touched < frameTouched {
		return nil
	}
	return j.closeFrame()
}

// closeFrame compresses the open frame, decodes it again, and appends it to the open pack.
func (j *job) closeFrame() error {
	if j.frame.empty() {
		return nil
	}
	j.frame.closeSegment()
	var e [numColumns]effort
	for i := range e {
		e[i] = j.enc.opt.Sensitivity.effortFor(i, len(j.frame.cols[i]), j.deflated)
	}
	j.deflated += int64(len(j.frame.cols[colData]))
	var size [numColumns]int
	j.payload, j.scratch, size = j.frame.appendTo(j.payload[:0], j.scratch, e)
	if err := j.verify.frameOf(context.Background(), j.payload); err != nil {
		return fmt.Errorf("what was encoded does not decode to what was read: %w", err)
	}
	if !j.packs.Fits(len(j.payload)) {
		if err := j.closePack(); err != nil {
			return err
		}
	}
	if _, err := j.packs.Append(FrameType, j.payload); err != nil {
		return err
	}
	j.price(size, len(j.payload)+pack.FrameHeadBytes)
	j.frame.startFrame()
	j.touched = 0
	return nil
}

// closePack hands the open pack out.
func (j *job) closePack() error {
	if j.packs.Empty() {
		return nil
	}
	p := j.packs.Finish()
	j.summary.Packs = append(j.summary.Packs, p.Ref)
	if err := j.put(p); err != nil {
		return fmt.Errorf("pack %d of the epoch: %w", len(j.summary.Packs)-1, err)
	}
	return nil
}
