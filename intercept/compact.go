package intercept

// waitingMax is how many layers wait for a commit at most, unless named points stand between them: every read looks
// through all of them.
const waitingMax = 3

// compact merges layers that wait, those first that cost least.
func (g *Group) compact() {
	g.merging.Lock()
	defer g.merging.Unlock()
	frozen := g.Ledger().Sent != nil // its interval must stay as it is
	for !frozen {
		pair := g.cheapestPair()
		if pair == nil {
			return
		}
		g.stacks.replace(pair, mergeLayers(pair))
	}
}

// cheapestPair returns the two neighbours to merge next; nil when few enough layers wait.
func (g *Group) cheapestPair() []*layer {
	g.stacks.Lock()
	defer g.stacks.Unlock()
	layers := g.stacks.current.Load().layers
	waiting, best, cost := 0, -1, 0
	for i, l := range layers {
		if !l.mergeable() {
			continue
		}
		waiting++
		if i == 0 || l.first <= g.settledEnd() || !layers[i-1].mergeable() || layers[i-1].end <= g.settledEnd() ||
			layers[i-1].name != "" {
			continue
		}
		if n := layers[i-1].len() + l.len(); best < 0 || n < cost {
			best, cost = i, n
		}
	}
	if waiting <= waitingMax || best < 0 {
		return nil
	}
	return []*layer{layers[best-1], layers[best]}
}

// mergeable reports whether l may be merged with a neighbour; called with the stacks locked.
func (l *layer) mergeable() bool { return l.complete.Load() && !l.busy && !l.handed.Load() }
