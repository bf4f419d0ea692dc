package engine

import (
	"bytes"
	_ "embed" // the shipped model
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
)

// ModelVersion is the version of the model file. It changes when features or answers do.
const ModelVersion = 1

// maxModelBytes bounds a model file.
const maxModelBytes = 4 << 20

// Model holds a tree for each question and sensitivity. It does not change once made; safe for concurrent use.
type Model struct {
	Name   string // for people: what it was learned from
	search [NumSensitivities]*Tree
	column [NumSensitivities]*Tree
}

//go:embed model.json
var shipped []byte

// Shipped returns the embedded model.
var Shipped = sync.OnceValue(func() *Model {
	m, err := Parse(shipped)
	if err != nil {
		panic(fmt.Sprintf("engine: shipped model: %v", err)) // a test reads it
	}
	return m
})

// Fixed returns a model that gives the same answers whatever it sees.
func Fixed(a Search, b Squeeze) *Model {
	m := &Model{Name: fmt.Sprintf("always %v, %v", a, b)}
	for s := range NumSensitivities {
		m.search[s], m.column[s] = constant(int(a)), constant(int(b))
	}
	return m
}

// Search answers for a changed run.
func (m *Model) Search(s Sensitivity, x *Run) Search { return Search(m.search[s].Answer(x[:])) }

// Squeeze answers for a column.
func (m *Model) Squeeze(s Sensitivity, x *Column) Squeeze { return Squeeze(m.column[s].Answer(x[:])) }

// Why is the path through the tree that led to the answer for a changed run.
func (m *Model) Why(s Sensitivity, x *Run) []string { return m.search[s].Path(&SearchQuestion, x[:]) }

// trees are those of one question.
func (m *Model) trees(q *Question) *[NumSensitivities]*Tree {
	if q == &SearchQuestion {
		return &m.search
	}
	return &m.column
}

// modelFile is the JSON form.
type modelFile struct {
	Format  string                         `json:"format"`
	Version int                            `json:"version"`
	Name    string                         `json:"name"`
	Trees   map[string]map[string][]asNode `json:"trees"` // by question and sensitivity
}

const modelFormat = "weir-model"

// asNode is a node with names instead of numbers.
type asNode struct {
	Feature string  `json:"feature,omitempty"`
	Below   float32 `json:"below,omitempty"`
	Less    int     `json:"less,omitempty"`
	More    int     `json:"more,omitempty"`
	Answer  string  `json:"answer,omitempty"`
}

// Load reads a model file.
func Load(path string) (*Model, error) {
	f, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if f.Size() > maxModelBytes {
		return nil, fmt.Errorf("model %s has %d bytes, at most %d are read", path, f.Size(), maxModelBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", path, err)
	}
	return m, nil
}

// Parse reads a model. Names that this build does not know, and trees that do not end, are errors.
func Parse(b []byte) (*Model, error) {
	var f modelFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if f.Format != modelFormat || f.Version != ModelVersion {
		return nil, fmt.Errorf("format %q version %d, this build reads %q version %d", f.Format, f.Version, modelFormat, ModelVersion)
	}
	m := &Model{Name: f.Name}
	for _, q := range Questions {
		for s := range NumSensitivities {
			t, err := toTree(q, f.Trees[q.Name][s.String()])
			if err != nil {
				return nil, fmt.Errorf("question %s, %v: %w", q.Name, s, err)
			}
			m.trees(q)[s] = t
		}
	}
	return m, nil
}

func toTree(q *Question, list []asNode) (*Tree, error) {
	t := &Tree{}
	for i, x := range list {
		n := node{feature: -1}
		if x.Feature != "" {
			if n.feature = slices.Index(q.Features, x.Feature); n.feature < 0 {
				return nil, fmt.Errorf("node %d: no feature is called %q", i, x.Feature)
			}
			n.limit, n.less, n.more = x.Below, x.Less, x.More
		} else if n.answer = slices.Index(q.Answers, x.Answer); n.answer < 0 {
			return nil, fmt.Errorf("node %d: no answer is called %q", i, x.Answer)
		}
		t.nodes = append(t.nodes, n)
	}
	return t, t.check(q)
}

// MarshalJSON implements json.Marshaler: the model file.
func (m *Model) MarshalJSON() ([]byte, error) {
	f := modelFile{Format: modelFormat, Version: ModelVersion, Name: m.Name, Trees: make(map[string]map[string][]asNode)}
	for _, q := range Questions {
		f.Trees[q.Name] = make(map[string][]asNode)
		for s := range NumSensitivities {
			var list []asNode
			for _, n := range m.trees(q)[s].nodes {
				if n.feature < 0 {
					list = append(list, asNode{Answer: q.Answers[n.answer]})
					continue
				}
				list = append(list, asNode{Feature: q.Features[n.feature], Below: n.limit, Less: n.less, More: n.more})
			}
			f.Trees[q.Name][s.String()] = list
		}
	}
	return json.Marshal(f)
}
