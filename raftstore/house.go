package raftstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/peer"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// Housekeeping is done at most once in houseInterval, for all groups in one Raft entry.
const (
	houseInterval   = time.Second
	deletesPerEntry = 4096
	// lagMax is how many points a replica may be behind before wire packs are released without it. It takes the
	// content from another replica then.
	lagMax = 1024
	// promotionLag is how many points a node that joins a group may be behind when it becomes a replica.
	promotionLag = 2
	// movesMax bounds the Raft entries of one round.
	movesMax = 64
)

// house is what the leader knows of the nodes for its housekeeping. Safe for concurrent use.
type house struct {
	mu      sync.Mutex
	reports map[string]nodeReport // by server ID; of a node that does not answer, its last one

	silentSince map[string]time.Time // by server ID, nodes that do not answer
}

type nodeReport struct {
	verified map[ident.GroupID]uint64
	pinned   map[ident.GroupID][]uint64
	strays   []pack.ID
}

func newHouse() *house { return &house{reports: make(map[string]nodeReport)} }

// pinned reports whether a disk shows a point, as far as is known.
func (h *house) pinned(group ident.GroupID, number uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reports {
		if slices.Contains(r.pinned[group], number) {
			return true
		}
	}
	return false
}

// verified returns the number of the newest point of a group that a node has verified, as far as is known.
func (h *house) verified(node string, group ident.GroupID) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reports[node].verified[group]
}

// releasable returns the number up to which a group's wire packs are not needed any more: all that hold or join it have
// verified it, or a quorum has and the others are far behind.
func (h *house) releasable(g meta.Group, nodes map[string]string) uint64 {
	quorum := h.quorumVerified(g.ID, g.Replicas, nodes)
	all := quorum
	for _, name := range slices.Concat(g.Replicas, g.Joining) {
		all = min(all, h.verified(nodes[name], g.ID))
	}
	if g.Number > lagMax {
		return max(all, min(quorum, g.Number-lagMax))
	}
	return all
}

// quorumVerified returns the number of the newest point that a quorum of the named nodes has verified.
func (h *house) quorumVerified(group ident.GroupID, names []string, nodes map[string]string) uint64 {
	var got []uint64
	for _, name := range names {
		got = append(got, h.verified(nodes[name], group))
	}
	if len(got) == 0 {
		return 0
	}
	slices.Sort(got)
	return got[len(got)-meta.Quorum(len(got))]
}

// takeStrays returns the command that deletes the packs that nodes have reported, and forgets them: reports name again
// what is still there.
func (h *house) takeStrays() *meta.DropPacks {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := make(map[pack.ID]bool)
	cmd := &meta.DropPacks{}
	for id, r := range h.reports {
		for _, p := range r.strays {
			if !seen[p] {
				seen[p] = true
				cmd.Packs = append(cmd.Packs, p)
			}
		}
		r.strays = nil
		h.reports[id] = r
	}
	return cmd
}

// keep replaces what is known, and forgets nodes that are not members.
func (h *house) keep(reports map[string]nodeReport, members []meta.Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[string]nodeReport, len(members))
	for _, m := range members {
		if r, ok := reports[m.ID]; ok {
			next[m.ID] = r
		} else if r, ok := h.reports[m.ID]; ok {
			next[m.ID] = r
		}
	}
	h.reports = next
}

// keepHouse runs while this node leads.
func (n *Node) keepHouse(ctx context.Context) {
	for sleep(ctx, houseInterval) {
		n.collect(ctx)
		if err := n.settleVotes(); err != nil {
			n.log.Info("housekeeping", "err", err)
		}
		var cmds []meta.Command
		if trim := n.tidy(); len(trim.Groups) > 0 {
			cmds = append(cmds, trim)
		}
		cmds = append(cmds, n.moves()...)
		if drop := n.house.takeStrays(); len(drop.Packs) > 0 {
			cmds = append(cmds, drop)
		}
		for _, cmd := range cmds {
			if ctx.Err() != nil {
				return
			}
			if _, err := n.propose(cmd); err != nil {
				n.log.Info("housekeeping", "kind", cmd.Kind(), "err", err)
				break
			}
		}
	}
}

// moves carries groups on to the nodes that they should be on: a node that has taken in a group becomes a replica of it,
// and a replica too many leaves once the others hold what it held. A new replica may lack the last points: their wire
// packs are on a quorum of the others.
func (n *Node) moves() []meta.Command {
	var cmds []meta.Command
	n.fsm.read(func(s *meta.State) {
		nodes := nodeIDs(s)
		for _, g := range s.Groups() {
			if len(cmds) == movesMax {
				return
			}
			if p := n.move(s, g, nodes); p != nil {
				cmds = append(cmds, p)
			}
		}
	})
	return cmds
}

func (n *Node) move(s *meta.State, g meta.Group, nodes map[string]string) *meta.Place {
	if p := s.Relief(g.ID); p != nil {
		if n.house.quorumVerified(g.ID, p.After, nodes) < g.Placed {
			return nil
		}
		return p
	}
	for _, name := range g.Joining {
		if at := n.house.verified(nodes[name], g.ID); at >= g.Released && at+promotionLag >= g.Number {
			return s.Promotion(g.ID, name)
		}
	}
	return nil
}

// nodeIDs maps the names of the members to their server IDs.
func nodeIDs(s *meta.State) map[string]string {
	ids := make(map[string]string)
	for _, node := range s.Nodes() {
		ids[node.Name] = node.ID
	}
	return ids
}

func (n *Node) collect(ctx context.Context) {
	nodes := view(n.fsm, (*meta.State).Nodes)
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := make(map[string]nodeReport, len(nodes))
	addrs := make(map[string]bool, len(nodes))
	for _, node := range nodes {
		addrs[node.Address] = true
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := n.reportOf(ctx, node)
			if err != nil {
				n.log.Debug("report", "of", node.Name, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[node.ID] = readReport(r)
		}()
	}
	wg.Wait()
	n.house.keep(got, nodes)
	n.house.heard(nodes, func(id string) bool { _, ok := got[id]; return ok }, time.Now())
	n.peers.keep(addrs)
}

func readReport(r *peer.ReportReply) nodeReport {
	out := nodeReport{verified: make(map[ident.GroupID]uint64), pinned: make(map[ident.GroupID][]uint64)}
	for _, g := range r.GetGroups() {
		u, err := rpc.ToUUID(g.GetGroup())
		if err != nil {
			continue
		}
		id := ident.GroupID{UUID: u}
		out.verified[id], out.pinned[id] = g.GetVerified(), g.GetPinned()
	}
	for _, b := range r.GetStrays() {
		if id, err := toPackID(b); err == nil && len(out.strays) < straysPerReport {
			out.strays = append(out.strays, id)
		}
	}
	return out
}

// tidy decides what can be deleted and released.
func (n *Node) tidy() *meta.Trim {
	cmd := &meta.Trim{}
	budget := deletesPerEntry
	n.fsm.read(func(s *meta.State) {
		nodes := nodeIDs(s)
		for _, g := range s.Groups() {
			t := meta.TrimGroup{Group: g.ID}
			if r := n.house.releasable(g, nodes); r > g.Released {
				t.Release = r
			}
			t.Delete = s.Excess(g.ID, budget, func(number uint64) bool { return n.house.pinned(g.ID, number) })
			budget -= len(t.Delete)
			if t.Release > 0 || len(t.Delete) > 0 {
				cmd.Groups = append(cmd.Groups, t)
			}
		}
	})
	return cmd
}
