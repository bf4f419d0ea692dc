package codec

import (
	"math"

	"github.com/weirstor/weir/classify/engine"
)

// How a run is sampled for its features.
const (
	samplePieces  = 4        // at most, evenly spaced
	samplePiece   = 512      // bytes of one, for the entropy
	sampleKnown   = 8 << 10  // a shorter run is not looked up before it is searched
	sampleAnchors = 2        // that are looked up in each piece
	sampleHeads   = 16       // leaf blocks whose first bytes are looked at
	lately        = 1.0 / 16 // weight of the latest run in what is known of runs before
	curiosity     = 1.0 / 64 // how fast what was not tried is believed to be worth a try again
)

// past is what searches brought to the runs of a volume and pass lately: the share of their bytes.
type past struct {
	indexed, near, inner float32
}

// features describes the chunk [a, b) of w, the blocks [from, to).
func (j *job) features(i, pass int, w *window, from, to, a, b int) (x engine.Run) {
	fresh, repeated, changed := 0, 0, 0
	for k := from; k < to; k++ {
		p := &j.blocks[k]
		changed += p.changed
		if p.before == 0 {
			fresh++
		}
		if _, ok := j.matcher.repeats.find(p.after); ok {
			repeated++
		}
	}
	region, _ := j.changes[i].Map.RegionAt(w.off + int64(a))
	blocks, h := float32(to-from), &j.enc.pastOf(j.changes[i].Volume)[pass]
	x[engine.RunClass] = float32(j.blocks[from].class)
	x[engine.RunRegion] = float32(region)
	x[engine.RunLength] = coarse(log2(b-a), 2)
	x[engine.RunChanged] = coarse(float32(changed)/float32(b-a), 16)
	x[engine.RunFresh] = coarse(float32(fresh)/blocks, 8)
	x[engine.RunRepeated] = coarse(float32(repeated)/blocks, 8)
	x[engine.RunEntropy] = coarse(sampleEntropy(w.new[a:b]), 8)
	x[engine.RunKnown] = j.matcher.known(w, a, b)
	x[engine.RunStreams] = streamHeads(w.new[a:b], a)
	x[engine.RunIndexed], x[engine.RunNear], x[engine.RunInner] = coarse(h.indexed, 16), coarse(h.near, 16), coarse(h.inner, 16)
	x[engine.RunEpoch] = coarse(log2(int(j.written)), 2)
	return x
}

// remember updates what is known of runs like this one with the matches that a search of a level brought for n bytes.
func (h *past) remember(level engine.Search, n int, matches []match) {
	var indexed, near, inner int
	for i := range matches {
		switch m := &matches[i]; {
		case m.op == opInner:
			inner += m.n
		case m.op == opNear && m.fresh:
			indexed += m.n
		case m.op == opNear:
			near += m.n
		}
	}
	note := func(v *float32, got int, tried bool) {
		if tried {
			*v += (float32(got)/float32(n) - *v) * lately
		} else {
			*v += (1 - *v) * curiosity
		}
	}
	note(&h.near, near, level >= engine.SearchNear)
	note(&h.indexed, indexed, level >= engine.SearchIndex)
	note(&h.inner, inner, level >= engine.SearchInner)
}

// coarse rounds to steps of one in n, so that a model learns no peculiarity of what it was shown.
func coarse(x, n float32) float32 { return float32(math.Round(float64(x*n))) / n }

func log2(n int) float32 { return float32(math.Log2(float64(max(n, 1)))) }

// sampleEntropy is the order-0 entropy of a few pieces of b, bits a byte; -1 if b is too short to tell.
func sampleEntropy(b []byte) float32 {
	if len(b) < probeMin {
		return -1
	}
	var count [256]uint16
	n := 0
	step := max(len(b)/samplePieces, samplePiece)
	for at := 0; at < len(b); at += step {
		piece := b[at:min(len(b), at+samplePiece)]
		for _, c := range piece {
			count[c]++
		}
		n += len(piece)
	}
	return float32(min(8, entropy(&count, n)+255/(2*float64(n)*math.Ln2)))
}

// entropy is that of n bytes counted, at most probeStep, bits a byte.
func entropy(count *[256]uint16, n int) float64 {
	var sum float32
	for _, c := range count {
		sum += xlog2[c]
	}
	return math.Log2(float64(n)) - float64(sum)/float64(n)
}

// streamHeads is the share of sampled leaf blocks of b, which begins at a in its window, that begin with the header of a
// zlib stream: files begin at leaf blocks.
func streamHeads(b []byte, a int) float32 {
	at := int(blockCeil(int64(a))) - a
	step := max(1, (len(b)-at)/blockSize/sampleHeads) * blockSize
	n, heads := 0, 0
	for ; at+1 < len(b); at += step {
		n++
		if isZlibHead(b, at) {
			heads++
		}
	}
	if n == 0 {
		return 0
	}
	return float32(heads) / float32(n)
}

// known is the share of a few places in the chunk [a, b) of w whose content the index finds; -1 if the chunk is short,
// or there is no index.
func (m *matcher) known(w *window, a, b int) float32 {
	if m.index == nil || b-a < sampleKnown {
		return -1
	}
	asked, found := 0, 0
	piece := 2 * m.index.sub
	m.anchors.start(a)
	for at, step := a, max((b-a)/samplePieces, piece); at+piece <= b; at += step {
		m.anchors.search(w.new[at:at+piece], at, m.index.sub)
		for _, x := range m.anchors.list[:min(len(m.anchors.list), sampleAnchors)] {
			asked++
			if m.lookup(w, x, a, b).n > 0 {
				found++
			}
		}
	}
	if asked == 0 {
		return 0
	}
	return float32(found) / float32(asked)
}

// columnFeatures describes a column of an epoch that has compressed done bytes before.
func columnFeatures(col int, b []byte, done int64, scratch []byte) (x engine.Column, kept []byte) {
	x[engine.ColumnKind] = float32(col)
	x[engine.ColumnLength] = coarse(log2(len(b)), 2)
	x[engine.ColumnDone] = coarse(log2(int(done)+len(b)), 2)
	x[engine.ColumnEntropy] = coarse(sampleEntropy(b), 8)
	ratio, scratch := sampleRatio(b, scratch)
	x[engine.ColumnRatio] = coarse(ratio, 16)
	return x, scratch
}
