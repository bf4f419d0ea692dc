package engine

import "fmt"

// Limits of a tree that is read from a file.
const (
	maxNodes = 4096
	maxDepth = 64
)

// Tree answers a question. Node 0 is the root.
type Tree struct {
	nodes []node
}

// node is a leaf, with an answer, or asks whether a feature is below a limit.
type node struct {
	feature    int // -1: leaf
	limit      float32
	less, more int // nodes; each is behind this one
	answer     int
}

// Answer walks down the tree. It does not allocate and takes nanoseconds.
func (t *Tree) Answer(x []float32) int {
	n := &t.nodes[0]
	for n.feature >= 0 {
		if x[n.feature] < n.limit {
			n = &t.nodes[n.less]
		} else {
			n = &t.nodes[n.more]
		}
	}
	return n.answer
}

// Path is the questions that were asked on the way to an answer, for people.
func (t *Tree) Path(q *Question, x []float32) (path []string) {
	n := &t.nodes[0]
	for n.feature >= 0 {
		word, next := "≥", n.more
		if x[n.feature] < n.limit {
			word, next = "<", n.less
		}
		path = append(path, fmt.Sprintf("%s %.4g %s %.4g", q.Features[n.feature], x[n.feature], word, n.limit))
		n = &t.nodes[next]
	}
	return path
}

// constant is the tree that always gives the same answer.
func constant(answer int) *Tree { return &Tree{nodes: []node{{feature: -1, answer: answer}}} }

// check refuses a tree that could not be walked.
func (t *Tree) check(q *Question) error {
	if len(t.nodes) == 0 || len(t.nodes) > maxNodes {
		return fmt.Errorf("tree of %d nodes, want 1 to %d", len(t.nodes), maxNodes)
	}
	depth := make([]int, len(t.nodes))
	for i, n := range t.nodes {
		if n.feature < 0 {
			if n.answer < 0 || n.answer >= len(q.Answers) {
				return fmt.Errorf("node %d: answer %d of %d", i, n.answer, len(q.Answers))
			}
			continue
		}
		if n.feature >= len(q.Features) || n.limit != n.limit {
			return fmt.Errorf("node %d: feature %d below %v", i, n.feature, n.limit)
		}
		for _, next := range []int{n.less, n.more} {
			if next <= i || next >= len(t.nodes) {
				return fmt.Errorf("node %d: goes to node %d of %d", i, next, len(t.nodes))
			}
			if depth[next] = max(depth[next], depth[i]+1); depth[next] > maxDepth {
				return fmt.Errorf("node %d is deeper than %d", next, maxDepth)
			}
		}
	}
	return nil
}
