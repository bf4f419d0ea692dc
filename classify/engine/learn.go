package engine

import (
	"cmp"
	"math"
	"slices"
)

// Outcome is what one answer costs.
type Outcome struct {
	Bytes int64 `json:"bytes"`
	Work  int64 `json:"work"` // nanoseconds of one core, estimated from what was done, so that it is the same everywhere
}

// Sample is one time that a question was asked, with what each answer would have cost.
type Sample struct {
	Features []float32
	Outcomes []Outcome // by answer

}

// Recorder gets samples. Its methods may be called by several encoders at once and keep nothing of their arguments.
type Recorder interface {
	RunSample(x *Run, out *[NumSearch]Outcome)
	ColumnSample(x *Column, out *[NumSqueeze]Outcome)
}

// spareBytes: an epoch of so many bytes may spend twice as much on each byte as a very large one, a smaller one more. A
// small epoch is soon done anyway.
const spareBytes = 64 << 20

// price is what an outcome is worth, in bytes.
func (s Sensitivity) price(o Outcome, epoch float64) float64 {
	w := worth[s]
	if s != Fast {
		w *= 1 + spareBytes/max(epoch, 1<<16)
	}
	return float64(o.Bytes) + float64(o.Work)/w
}

// Bounds of learned trees.
const (
	learnDepth = 7
	learnLeaf  = 12     // samples of a leaf
	learnGain  = 0.0004 // of the whole price that a question must save to be asked
)

// epochs are sizes, log2 of bytes, that each sample is learned for besides that of its own epoch: what an answer costs
// does not depend on it, only what it is worth.
var epochs = []float32{16, 18, 20, 22, 24, 26, 28, 30}

// Learn makes a model from samples of both questions. The same samples in the same order give the same model.
func Learn(name string, runs, columns []Sample) *Model {
	m := &Model{Name: name}
	runs, columns = vary(runs, RunEpoch, RunLength), vary(columns, ColumnDone, ColumnLength)
	for s := range NumSensitivities {
		m.search[s] = learn(s, &SearchQuestion, runs, RunEpoch)
		m.column[s] = learn(s, &SqueezeQuestion, columns, ColumnDone)
	}
	return m
}

// vary adds to each sample two of the same with other sizes of the epoch, not below its own length.
func vary(samples []Sample, epoch, length int) (out []Sample) {
	for i, x := range samples {
		out = append(out, x)
		for k := range 2 {
			y := Sample{Features: slices.Clone(x.Features), Outcomes: x.Outcomes}
			y.Features[epoch] = max(epochs[(2*i+k*3)%len(epochs)], x.Features[length])
			out = append(out, y)
		}
	}
	return out
}

// learner grows one tree.
type learner struct {
	q       *Question
	samples []Sample
	prices  [][]float64 // by sample and answer
	least   float64     // what a question must save
	nodes   []node
}

func learn(s Sensitivity, q *Question, samples []Sample, epoch int) *Tree {
	if len(samples) == 0 {
		return constant(len(q.Answers) / 2)
	}
	l := &learner{q: q, samples: samples}
	list := make([]int, len(samples))
	for i, x := range samples {
		list[i] = i
		p := make([]float64, len(q.Answers))
		for k, o := range x.Outcomes {
			p[k] = s.price(o, math.Exp2(float64(x.Features[epoch])))
		}
		l.prices = append(l.prices, p)
	}
	_, all := l.best(list)
	l.least = all * learnGain
	l.grow(list, 0)
	return &Tree{nodes: l.nodes}
}

// best is the one answer that is cheapest for all samples of list together.
func (l *learner) best(list []int) (answer int, price float64) {
	sums := make([]float64, len(l.q.Answers))
	for _, i := range list {
		for k, p := range l.prices[i] {
			sums[k] += p
		}
	}
	return cheapest(sums)
}

func cheapest(sums []float64) (answer int, price float64) {
	for k, p := range sums {
		if p < sums[answer] {
			answer = k
		}
	}
	return answer, sums[answer]
}

// grow adds the tree for list and returns its root.
func (l *learner) grow(list []int, depth int) int {
	at := len(l.nodes)
	answer, price := l.best(list)
	l.nodes = append(l.nodes, node{feature: -1, answer: answer})
	if depth == learnDepth || len(list) < 2*learnLeaf {
		return at
	}
	feature, limit, split := -1, float32(0), price-l.least
	for f := range l.q.Features {
		if v, p := l.split(list, f); p < split {
			feature, limit, split = f, v, p
		}
	}
	if feature < 0 {
		return at
	}
	var less, more []int
	for _, i := range list {
		if l.samples[i].Features[feature] < limit {
			less = append(less, i)
		} else {
			more = append(more, i)
		}
	}
	n := node{feature: feature, limit: limit}
	n.less = l.grow(less, depth+1)
	n.more = l.grow(more, depth+1)
	l.nodes[at] = n
	return at
}

// split finds the limit of feature f that makes two answers cheapest, and their price.
func (l *learner) split(list []int, f int) (limit float32, price float64) {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b int) int {
		return cmp.Compare(l.samples[a].Features[f], l.samples[b].Features[f])
	})
	low, high := make([]float64, len(l.q.Answers)), make([]float64, len(l.q.Answers))
	for _, i := range sorted {
		for k, p := range l.prices[i] {
			high[k] += p
		}
	}
	price = math.Inf(1)
	for n, i := range sorted {
		if n >= learnLeaf && len(sorted)-n >= learnLeaf {
			a, b := l.samples[sorted[n-1]].Features[f], l.samples[i].Features[f]
			if a < b {
				_, p := cheapest(low)
				_, r := cheapest(high)
				if p+r < price {
					limit, price = middle(a, b), p+r
				}
			}
		}
		for k, p := range l.prices[i] {
			low[k] += p
			high[k] -= p
		}
	}
	return limit, price
}

// middle is a limit between a and b, above a.
func middle(a, b float32) float32 {
	if m := a + (b-a)/2; m > a {
		return m
	}
	return b
}
