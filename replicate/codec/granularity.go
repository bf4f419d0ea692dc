package codec

import (
	"bytes"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/leaf"
)

// The rule of the five classes, bytes of a leaf block unless said otherwise.
const (
	smallChanged  = 512      // at most so many changed bytes are few
	mediumRunMax  = 64 << 10 // a longer contiguous run, over several blocks, is LargeData
	mediumDensity = 4        // a run is contiguous when at most one byte in so many is unchanged
	chunkMax      = 1 << 20  // bytes of a data chunk
)

// block is what became of one leaf block of a window.
type block struct {
	class       classify.Class
	unchanged   bool
	first, last int // changed bytes lie in [first, last), within the block
	changed     int
	before      leaf.Leaf
	after       leaf.Leaf
}

// zero reports whether the block has become zero.
func (b *block) zero() bool { return b.class == classify.ZeroBlock && !b.unchanged }

// dense reports whether the changed bytes of the block are one run.
func (b *block) dense() bool {
	span := b.last - b.first
	return span-b.changed <= span/mediumDensity
}

// look compares the old and the new content of one block.
func look(old, new []byte, meta bool) block {
	b := block{before: leaf.Of(old), after: leaf.Of(new)}
	if b.before == b.after && bytes.Equal(old, new) {
		b.unchanged = true
		return b
	}
	b.first = matchForward(old, new)
	b.last = len(new) - matchBackward(old, new)
	b.changed = changedBytes(old[b.first:b.last], new[b.first:b.last])
	switch {
	case b.after == 0:
		b.class = classify.ZeroBlock
	case meta:
		b.class = classify.MetadataOnly
	case b.before == 0:
		b.class = classify.LargeData
	case b.changed <= smallChanged:
		b.class = classify.SmallData
	case b.dense() && b.last-b.first < len(new):
		b.class = classify.MediumData
	case b.changed > len(new)/2:
		b.class = classify.LargeData
	default:
		b.class = classify.SmallData
	}
	return b
}

// joinRuns finds contiguous runs that go on over several blocks: where one begins or ends within a block and is not
// long it is MediumData as a whole, else its full blocks are LargeData.
func joinRuns(blocks []block) {
	for i := 0; i < len(blocks); {
		j := i + 1
		if !joinable(&blocks[i]) {
			i = j
			continue
		}
		for j < len(blocks) && joinable(&blocks[j]) && blocks[j-1].last == blockSize && blocks[j].first == 0 {
			j++
		}
		if j-i > 1 {
			setRun(blocks[i:j])
		}
		i = j
	}
}

func joinable(b *block) bool {
	return !b.unchanged && (b.class == classify.MediumData || b.class == classify.LargeData || b.class == classify.SmallData) && b.dense()
}

func setRun(run []block) {
	n := 0
	for i := range run {
		n += run[i].last - run[i].first
	}
	partial := run[0].first > 0 && run[0].before != 0 || run[len(run)-1].last < blockSize && run[len(run)-1].before != 0
	class := classify.LargeData
	if partial && n <= mediumRunMax && n > smallChanged {
		class = classify.MediumData
	}
	for i := range run {
		if class == classify.MediumData || run[i].class == classify.MediumData && run[i].last-run[i].first == blockSize {
			run[i].class = class
		}
	}
}
