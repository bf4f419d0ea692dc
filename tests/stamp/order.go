package stamp

import (
	"fmt"
	"slices"
)

// order is the graph of "comes before". Its nodes are the ops of the prefix, and the moments at which they were
// answered: op → its answer → the next answer → … and the last answer before op was submitted → op. So the order in
// time takes two edges for each op.
type order struct {
	edges [][]int32
	need  []int32 // edges that lead to the node and are not yet satisfied
}

func (g *order) edge(from, to int32) {
	g.edges[from] = append(g.edges[from], to)
	g.need[to]++
}

// checkOrder reports whether the writes of the prefix can be put in an order that leaves the state.
func (c *checker) checkOrder() error {
	var prefix []*Op
	node := map[ID]int32{}
	for _, op := range c.ops {
		if c.included(op) {
			node[op.ID] = int32(len(prefix))
			prefix = append(prefix, op)
		}
	}
	g := c.timeOrder(prefix)
	for p, ops := range c.touched {
		last, stamped := node[c.state[p]]
		if !stamped {
			continue
		}
		for _, op := range ops {
			if n, in := node[op.ID]; in && n != last {
				g.edge(n, last)
			}
		}
	}
	if left := g.sort(); left > 0 {
		return fmt.Errorf("%w: no order of the %d writes leaves this state; %s", ErrViolation, len(prefix), c.cycle(g, prefix))
	}
	return nil
}

func (c *checker) timeOrder(prefix []*Op) *order {
	byAnswer := make([]int32, 0, len(prefix)) // nodes of answered ops, in the order of their answers
	for i, op := range prefix {
		if op.Answered != never {
			byAnswer = append(byAnswer, int32(i))
		}
	}
	slices.SortFunc(byAnswer, func(a, b int32) int {
		if prefix[a].Answered < prefix[b].Answered {
			return -1
		}
		return 1
	})
	n := len(prefix)
	g := &order{edges: make([][]int32, n+len(byAnswer)), need: make([]int32, n+len(byAnswer))}
	for k, i := range byAnswer {
		g.edge(i, int32(n+k))
		if k > 0 {
			g.edge(int32(n+k-1), int32(n+k))
		}
	}
	for i, op := range prefix {
		k, _ := slices.BinarySearchFunc(byAnswer, op.Submitted, func(a int32, t Tick) int {
			if prefix[a].Answered < t {
				return -1
			}
			return 1
		})
		if k > 0 {
			g.edge(int32(n+k-1), int32(i))
		}
	}
	return g
}

// sort removes every node that can be ordered and returns how many are left; those are on cycles or behind them.
func (g *order) sort() int {
	var ready []int32
	for i, n := range g.need {
		if n == 0 {
			ready = append(ready, int32(i))
		}
	}
	left := len(g.need)
	for len(ready) > 0 {
		i := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		left--
		for _, to := range g.edges[i] {
			if g.need[to]--; g.need[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return left
}

// cycle describes one cycle among the nodes that sort left over. Every such node has a predecessor that is left over
// too, so walking backwards comes to a cycle.
func (c *checker) cycle(g *order, prefix []*Op) string {
	before := map[int32]int32{}
	for from, tos := range g.edges {
		for _, to := range tos {
			if g.need[from] > 0 && g.need[to] > 0 {
				before[to] = int32(from)
			}
		}
	}
	var at int32
	for to := range before {
		at = to
		break
	}
	seen := map[int32]bool{}
	for !seen[at] {
		seen[at] = true
		at = before[at]
	}
	text := "a circle:"
	for start, first := at, true; first || at != start; at, first = before[at], false {
		if int(at) < len(prefix) {
			text += " " + c.show(prefix[at].ID, Place{}) + " after"
		}
	}
	return text
}
