package meta

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// State is what the cluster agrees on. It is not safe for concurrent use: its owner lets one command in at a time and
// keeps readers out meanwhile. Nothing that its methods return changes later.
type State struct {
	cluster  ident.ClusterID
	replicas uint32 // replicas of a group when there are enough nodes; 0: not founded
	keepLast uint32 // for new groups
	nodes    map[string]Node
	groups   map[ident.GroupID]*group
	disks    map[ident.UUID]Disk
	pins     map[ident.UUID]Pin
	rules    map[ident.GroupID]Rule // rules with a calendar; others are keepLast of their group

	// packs counts, per wire pack, how many points that are not released reference it.
	// Invariant: no entry is 0.
	packs map[pack.ID]uint32
	// deletions is which packs were deleted last, and when. Acknowledgements from before are not trusted.
	deletions deletions
}

// Node is a member of the cluster.
type Node struct {
	Name    string
	ID      string // Raft server ID; holds the UUID of the data folder
	Address string // HOST:PORT for Raft and RPC
}

func (n *Node) code(c *coder) {
	c.text(&n.Name, MaxTextBytes)
	c.text(&n.ID, MaxTextBytes)
	c.text(&n.Address, MaxTextBytes)
}

// Disk is a destination disk that follows a volume.
type Disk struct {
	ID         ident.UUID
	Group      ident.GroupID
	Volume     ident.VolumeID
	VolumeName string
	Node       string // name
	Kind       string
	Place      string
	Policy     string
}

func (d *Disk) code(c *coder) {
	c.fixed(d.ID[:])
	c.fixed(d.Group.UUID[:])
	c.fixed(d.Volume.UUID[:])
	for _, s := range []*string{&d.VolumeName, &d.Node, &d.Kind, &d.Place, &d.Policy} {
		c.text(s, MaxTextBytes)
	}
}

// Result is the outcome of a command. Err is nil when the State took it; the other fields belong to the commands that
// say so.
type Result struct {
	Err       error
	Term      uint64            // OpenSession
	Point     Entry             // Commit: the point, new or made by the same commit before
	Repeat    bool              // Commit: the point was there already
	Commit    *replicate.Commit // Commit: what a new point was made by
	Forgotten []Forgotten       // points that are not kept any more
	Freed     []pack.ID         // packs that no node needs any more
	Changed   []ident.GroupID   // groups whose kept points or replicas are others now; Commit leaves it empty
	Disks     bool              // disks were added or removed
}

// Forgotten names points of a group by number.
type Forgotten struct {
	Group   ident.GroupID
	Numbers []uint64
}

// New returns the State of a cluster that is not founded yet.
func New() *State {
	return &State{
		nodes:  make(map[string]Node),
		groups: make(map[ident.GroupID]*group),
		disks:  make(map[ident.UUID]Disk),
		pins:   make(map[ident.UUID]Pin),
		rules:  make(map[ident.GroupID]Rule),
		packs:  make(map[pack.ID]uint32),

		deletions: deletions{at: make(map[pack.ID]uint64)},
	}
}

// Apply carries out the command encoded in b, which stands at a log index. An error that is ErrBadEncoding means that
// this build does not know the command: the State is behind from here on and must not be used further.
func (s *State) Apply(index uint64, b []byte) Result {
	cmd, err := Decode(b)
	if err != nil {
		return Result{Err: err}
	}
	r := cmd.apply(s, index)
	s.deletions.note(index, r.Freed)
	return r
}

// Clone returns a copy that later commands to s do not change. It shares what is immutable, so that it is cheap.
func (s *State) Clone() *State {
	c := *s
	c.nodes = cloneMap(s.nodes)
	c.disks = cloneMap(s.disks)
	c.pins = cloneMap(s.pins)
	c.rules = cloneMap(s.rules)
	c.packs = cloneMap(s.packs)
	c.deletions = s.deletions.clone()
	c.groups = make(map[ident.GroupID]*group, len(s.groups))
	for id, g := range s.groups {
		c.groups[id] = g.clone()
	}
	return &c
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// Cluster returns the cluster's ID, zero while it is not founded.
func (s *State) Cluster() ident.ClusterID { return s.cluster }

// Referenced reports whether a point that is not released needs the pack.
func (s *State) Referenced(id pack.ID) bool { return s.packs[id] > 0 }

// Nodes lists the members by name.
func (s *State) Nodes() []Node {
	return sorted(s.nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}

// Node returns the member called name.
func (s *State) Node(name string) (Node, bool) {
	n, ok := s.nodes[name]
	return n, ok
}

// NodeByID returns the member with a server ID.
func (s *State) NodeByID(id string) (Node, bool) {
	for _, n := range s.nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// Disks lists the disks by ID.
func (s *State) Disks() []Disk {
	return sorted(s.disks, func(a, b Disk) int { return slices.Compare(a.ID[:], b.ID[:]) })
}

// Disk returns one disk.
func (s *State) Disk(id ident.UUID) (Disk, bool) {
	d, ok := s.disks[id]
	return d, ok
}

func sorted[K comparable, V any](m map[K]V, by func(a, b V) int) []V {
	l := make([]V, 0, len(m))
	for _, v := range m {
		l = append(l, v)
	}
	slices.SortFunc(l, by)
	return l
}

func (s *State) group(id ident.GroupID) (*group, error) {
	if g := s.groups[id]; g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("%w: group %s", rpc.ErrUnknown, id)
}
