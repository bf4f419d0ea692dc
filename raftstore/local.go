package raftstore

import (
	"log/slog"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/replica"
)

// local carries what was agreed to this node's copy of groups. agreed and restored collect while the State is locked;
// deliver hands over afterwards. All three are called by Raft's goroutine only.
type local struct {
	node    string
	log     *slog.Logger
	removal *removal
	content follower

	state     *meta.State
	entries   []replica.Entry
	changed   map[ident.GroupID]bool
	forgotten []meta.Forgotten
	disks     bool
	following map[ident.GroupID]bool
}

func newLocal(node string, r *removal, c follower, log *slog.Logger) *local {
	return &local{
		node: node, log: log, removal: r, content: c,
		changed: make(map[ident.GroupID]bool), following: make(map[ident.GroupID]bool), disks: true,
	}
}

func (l *local) agreed(s *meta.State, index uint64, r meta.Result) {
	l.state = s
	if r.Commit != nil && l.following[r.Commit.Group] {
		l.entries = append(l.entries, replica.Entry{Number: r.Point.Number, Commit: r.Commit})
	}
	for _, g := range r.Changed {
		l.changed[g] = true
		if l.follows(g) && !l.following[g] {
			l.start(g)
		}
	}
	for _, f := range r.Forgotten {
		if l.following[f.Group] {
			l.forgotten = append(l.forgotten, f)
		}
	}
	l.disks = l.disks || r.Disks
	if len(r.Freed) > 0 {
		l.removal.delete(index, r.Freed)
	}
}

func (l *local) follows(g ident.GroupID) bool { return l.state.Follows(l.node, g) }

// start begins to follow a group: from what may still have wire packs on.
func (l *local) start(g ident.GroupID) {
	l.following[g] = true
	l.changed[g] = true
	chain, err := l.state.Chain(g)
	if err != nil {
		l.log.Error("group to follow is unknown", "group", g, "err", err)
		return
	}
	l.entries = append(l.entries, l.decode(chain)...)
}

func (l *local) restored(s *meta.State) {
	l.state = s
	l.removal.skip(s.Freed())
	l.entries, l.forgotten = nil, nil
	for g := range l.following {
		l.changed[g] = true
	}
	for _, g := range s.Groups() {
		if l.follows(g.ID) {
			l.start(g.ID)
		}
	}
	l.disks = true
}

func (l *local) decode(entries []meta.Entry) []replica.Entry {
	out := make([]replica.Entry, 0, len(entries))
	for _, e := range entries {
		c, err := e.Commit()
		if err != nil {
			l.log.Error("commit of a point does not decode", "point", e.Point, "err", err)
			continue
		}
		out = append(out, replica.Entry{Number: e.Number, Commit: c})
	}
	return out
}

func (l *local) deliver() {
	for _, e := range l.entries {
		l.content.Advance(e)
	}
	l.entries = nil
	if l.disks {
		l.disks = false
		l.content.SetDisks(l.ownDisks())
	}
	for g := range l.changed {
		l.reconcile(g)
	}
	clear(l.changed)
	for _, f := range l.forgotten {
		l.content.Forget(f.Group, f.Numbers...)
	}
	l.forgotten = nil
}

// reconcile tells which points of a group are kept; of a group that is not followed any more, none.
func (l *local) reconcile(g ident.GroupID) {
	if !l.follows(g) {
		if l.following[g] {
			delete(l.following, g)
			l.content.Reconcile(g, nil)
		}
		return
	}
	kept, err := l.state.Points(g, 0)
	if err != nil {
		l.log.Error("points of a followed group", "group", g, "err", err)
		return
	}
	l.content.Reconcile(g, l.decode(kept))
}

func (l *local) ownDisks() []replica.DiskSpec {
	var specs []replica.DiskSpec
	for _, d := range l.state.Disks() {
		if d.Node == l.node {
			specs = append(specs, diskSpec(d))
		}
	}
	return specs
}
