package meta

import (
	"bytes"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
)

// Version is the first byte of an encoded command; the second is its kind.
const Version = 1

// Limits of what a command may hold.
const (
	MaxNodes       = 1024
	MaxTextBytes   = 4096
	MaxCommitBytes = 48 << 20
	MaxListItems   = 1 << 20
)

// Kind is what a command does. The numbers are part of the format.
type Kind uint8

const (
	KindInit         Kind = 1
	KindSetNode      Kind = 2
	KindRemoveNode   Kind = 3
	KindOpenSession  Kind = 4
	KindCommit       Kind = 5
	KindNamePoint    Kind = 6
	KindDeletePoints Kind = 7
	KindTrim         Kind = 8
	KindSetRetention Kind = 9
	KindAddDisk      Kind = 10
	KindRemoveDisk   Kind = 11
	KindDropPacks    Kind = 12
	KindPlace        Kind = 13
	KindAddPin       Kind = 32
	KindRemovePin    Kind = 33
	KindSetRule      Kind = 34
)

// Command is one change of the State.
type Command interface {
	// Kind tells the commands apart in their encoding.
	Kind() Kind
	code(c *coder)
	apply(s *State, index uint64) Result
}

// Init founds the cluster.
type Init struct {
	Cluster  ident.ClusterID
	Replicas uint32 // replicas of a group when there are enough nodes, at least 1
	KeepLast uint32 // unnamed points that a new group keeps; 0: all
}

// SetNode makes a node known, or changes its address. A node of the same name with another ID is replaced: its name
// came back with an empty disk.
type SetNode struct{ Node Node }

// RemoveNode forgets a node; other nodes take its place in groups. Its disks stay registered.
type RemoveNode struct{ Name string }

// OpenSession grants a gateway the next term of a group. The group is made at first use.
type OpenSession struct {
	Group       ident.GroupID
	GroupName   string
	Gateway     ident.UUID
	GatewayName string
	Cluster     ident.ClusterID // that the gateway knows; zero: none yet
	Takeover    bool            // take the group from another gateway
}

// Commit makes a point. Acks name the nodes that hold its packs on stable storage.
type Commit struct {
	Group ident.GroupID
	Term  uint64
	Data  []byte // replicate.Commit, canonical encoding
	Acks  []Ack
	Masks []uint64 // per pack, in order, which Acks hold it: bit i is Acks[i]; one mask alone stands for all packs
}

// Ack says that a node had packs on stable storage after it had carried out all deletions up to log index Freed.
type Ack struct {
	Node  string // ID, not name: an empty disk acknowledges nothing of its predecessor
	Freed uint64
}

// NamePoint names a point, or takes its name away.
type NamePoint struct {
	Point ident.Point
	Name  string
}

// DeletePoints forgets points at an operator's request, named ones too.
type DeletePoints struct{ Points []ident.Point }

// Trim is the leader's housekeeping for many groups at once.
type Trim struct{ Groups []TrimGroup }

// TrimGroup deletes unnamed points of a group by number, and releases the wire packs of all points up to a number.
type TrimGroup struct {
	Group   ident.GroupID
	Delete  []uint64
	Release uint64 // 0: none
}

// SetRetention sets how many unnamed points a group keeps; 0: all.
type SetRetention struct {
	Group    ident.GroupID
	KeepLast uint32
}

// AddDisk registers a disk that follows a volume.
type AddDisk struct{ Disk Disk }

// RemoveDisk forgets a disk.
type RemoveDisk struct{ ID ident.UUID }

// DropPacks deletes packs that no point references, everywhere. Referenced ones are left alone.
type DropPacks struct{ Packs []pack.ID }

// Place moves a group to other nodes.
type Place struct {
	Group  ident.GroupID
	Before []string // must be the group's present replicas
	After  []string
}

func (*Init) Kind() Kind         { return KindInit }
func (*SetNode) Kind() Kind      { return KindSetNode }
func (*RemoveNode) Kind() Kind   { return KindRemoveNode }
func (*OpenSession) Kind() Kind  { return KindOpenSession }
func (*Commit) Kind() Kind       { return KindCommit }
func (*NamePoint) Kind() Kind    { return KindNamePoint }
func (*DeletePoints) Kind() Kind { return KindDeletePoints }
func (*Trim) Kind() Kind         { return KindTrim }
func (*SetRetention) Kind() Kind { return KindSetRetention }
func (*AddDisk) Kind() Kind      { return KindAddDisk }
func (*RemoveDisk) Kind() Kind   { return KindRemoveDisk }
func (*DropPacks) Kind() Kind    { return KindDropPacks }
func (*Place) Kind() Kind        { return KindPlace }

func newCommand(k Kind) Command {
	switch k {
	case KindInit:
		return &Init{}
	case KindSetNode:
		return &SetNode{}
	case KindRemoveNode:
		return &RemoveNode{}
	case KindOpenSession:
		return &OpenSession{}
	case KindCommit:
		return &Commit{}
	case KindNamePoint:
		return &NamePoint{}
	case KindDeletePoints:
		return &DeletePoints{}
	case KindTrim:
		return &Trim{}
	case KindSetRetention:
		return &SetRetention{}
	case KindAddDisk:
		return &AddDisk{}
	case KindRemoveDisk:
		return &RemoveDisk{}
	case KindDropPacks:
		return &DropPacks{}
	case KindPlace:
		return &Place{}
	case KindAddPin:
		return &AddPin{}
	case KindRemovePin:
		return &RemovePin{}
	case KindSetRule:
		return &SetRule{}
	}
	return nil
}

// Encode returns the canonical encoding of cmd.
func Encode(cmd Command) []byte {
	c := &coder{b: []byte{Version, byte(cmd.Kind())}}
	cmd.code(c)
	return c.b
}

// Decode reads what Encode wrote. It refuses with ErrBadEncoding whatever is not the canonical encoding of a command.
// The result does not alias b.
func Decode(b []byte) (Command, error) {
	if len(b) < 2 || b[0] != Version {
		return nil, fmt.Errorf("%w: command %.2x, this build reads version %d", ErrBadEncoding, b[:min(len(b), 2)], Version)
	}
	cmd := newCommand(Kind(b[1]))
	if cmd == nil {
		return nil, fmt.Errorf("%w: unknown kind %d of command", ErrBadEncoding, b[1])
	}
	c := &coder{b: b[2:], reading: true}
	cmd.code(c)
	if c.err != nil {
		return nil, fmt.Errorf("command of kind %d: %w", b[1], c.err)
	}
	if !bytes.Equal(Encode(cmd), b) {
		return nil, fmt.Errorf("%w: command of kind %d is not canonical", ErrBadEncoding, b[1])
	}
	return cmd, nil
}

func (m *Init) code(c *coder) {
	c.fixed(m.Cluster.UUID[:])
	c.uint32(&m.Replicas)
	c.uint32(&m.KeepLast)
}

func (m *SetNode) code(c *coder) { m.Node.code(c) }

func (m *RemoveNode) code(c *coder) { c.text(&m.Name, MaxTextBytes) }

func (m *OpenSession) code(c *coder) {
	c.fixed(m.Group.UUID[:])
	c.text(&m.GroupName, MaxTextBytes)
	c.fixed(m.Gateway[:])
	c.text(&m.GatewayName, MaxTextBytes)
	c.fixed(m.Cluster.UUID[:])
	c.flag(&m.Takeover)
}

func (m *Commit) code(c *coder) {
	c.fixed(m.Group.UUID[:])
	c.uvarint(&m.Term)
	c.blob(&m.Data, MaxCommitBytes)
	list(c, &m.Acks, MaxNodes, 2, func(a *Ack) {
		c.text(&a.Node, MaxTextBytes)
		c.uvarint(&a.Freed)
	})
	list(c, &m.Masks, replicate.MaxPacks, 1, c.uvarint)
}

func (m *NamePoint) code(c *coder) {
	codePoint(c, &m.Point)
	c.text(&m.Name, replicate.MaxNameSize)
}

func (m *DeletePoints) code(c *coder) {
	list(c, &m.Points, MaxListItems, 65, func(p *ident.Point) { codePoint(c, p) })
}

func (m *Trim) code(c *coder) {
	list(c, &m.Groups, MaxListItems, 18, func(g *TrimGroup) {
		c.fixed(g.Group.UUID[:])
		list(c, &g.Delete, MaxListItems, 1, c.uvarint)
		c.uvarint(&g.Release)
	})
}

func (m *SetRetention) code(c *coder) {
	c.fixed(m.Group.UUID[:])
	c.uint32(&m.KeepLast)
}

func (m *AddDisk) code(c *coder) { m.Disk.code(c) }

func (m *RemoveDisk) code(c *coder) { c.fixed(m.ID[:]) }

func (m *DropPacks) code(c *coder) {
	list(c, &m.Packs, MaxListItems, len(pack.ID{}), func(id *pack.ID) { c.fixed(id[:]) })
}

func (m *Place) code(c *coder) {
	c.fixed(m.Group.UUID[:])
	codeNames(c, &m.Before)
	codeNames(c, &m.After)
}

func codeNames(c *coder, names *[]string) {
	list(c, names, MaxNodes, 1, func(n *string) { c.text(n, MaxTextBytes) })
}

func codePoint(c *coder, p *ident.Point) {
	c.fixed(p.Group.UUID[:])
	c.fixed(p.Timeline.UUID[:])
	end := uint64(p.End)
	c.uvarint(&end)
	p.End = ident.Seq(end)
	c.fixed(p.Digest[:])
}
