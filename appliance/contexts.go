package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/nbd"
)

// The metadata contexts that are our own; docs/nbd.md defines them.
const (
	classContext = "weir:class"
	dirtyPrefix  = "weir:dirty:"

	classPending = 1 << 8 // of weir:class: not committed yet, a guess from the path of the write
	dirtyFlag    = 1 << 0 // of weir:dirty
)

// contexts knows our contexts of one export.
type contexts struct {
	gateway *gateway
	volume  *intercept.Volume // nil for a point
	point   *pointDevice      // nil for a volume
}

var _ nbd.ContextProvider = contexts{}

// contextsOf returns the contexts of a device; nil if it has none of ours.
func (g *gateway) contextsOf(d target.Device) nbd.ContextProvider {
	switch d := d.(type) {
	case *intercept.Volume:
		return contexts{gateway: g, volume: d}
	case *pointDevice:
		return contexts{gateway: g, point: d}
	}
	return nil
}

// Contexts implements nbd.ContextProvider.
func (c contexts) Contexts() []string { return []string{classContext, dirtyPrefix} }

// Context implements nbd.ContextProvider.
func (c contexts) Context(name string) (nbd.Context, bool) {
	if name == classContext {
		return classes{c}, true
	}
	point, ok := strings.CutPrefix(name, dirtyPrefix)
	if !ok || point == "" {
		return nil, false
	}
	since, err := c.gateway.pointDevice(c.name(), point)
	if err != nil || since.volume.UUID != c.id() {
		return nil, false
	}
	return dirty{c, since}, true
}

func (c contexts) name() string {
	if c.volume != nil {
		return c.volume.Name()
	}
	volume, _, _ := strings.Cut(c.point.name, "@")
	return volume
}

func (c contexts) id() [16]byte {
	if c.volume != nil {
		return c.volume.ID().UUID
	}
	return c.point.volume.UUID
}

// errBehind says that the provider that answered does not have the newest point yet.
var errBehind = errors.New("the provider that answered does not know the newest committed point yet")

// head returns what of a volume is committed, and the ranges of [off, off+n) where the volume may differ from that. For a
// point that is the point itself, and nothing. The point is nil while nothing is committed.
func (c contexts) head(ctx context.Context, off, n int64) (*pointDevice, []intercept.Extent, error) {
	if c.volume == nil {
		return c.point, nil, nil
	}
	written, committed, err := c.volume.Uncommitted(off, n)
	if err != nil {
		return nil, nil, err
	}
	if committed.IsZero() {
		return nil, written, nil
	}
	calls, id := c.gateway.system.cluster.calls, c.gateway.group.ID()
	r, err := calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:], Limit: 1})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", target.ErrIO, err)
	}
	if len(r.GetPoints()) == 0 || r.GetPoints()[0].GetPoint().GetEnd() < uint64(committed.End) {
		return nil, nil, fmt.Errorf("%w: %w", target.ErrIO, errBehind)
	}
	p, volume := r.GetPoints()[0], c.id()
	for _, v := range p.GetVolumes() {
		if string(v.GetVolume()) == string(volume[:]) {
			return &pointDevice{calls: calls, name: c.volume.Name(), point: p.GetPoint(), volume: c.volume.ID(), size: v.GetSize(),
				blockSize: int(v.GetBlockSize())}, written, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: %w: volume %s in the newest point", target.ErrIO, api.ErrNotFound, c.volume.Name())
}

// blockMap is the status of the blocks of 4 KiB that [off, off+n) touches.
type blockMap struct {
	off, n int64
	flags  []uint32
}

func newBlockMap(off, n int64) *blockMap {
	return &blockMap{off, n, make([]uint32, (off+n+leaf.BlockSize-1)/leaf.BlockSize-off/leaf.BlockSize)}
}

// first is the number of the first block.
func (m *blockMap) first() int64 { return m.off / leaf.BlockSize }

// set gives all blocks that [off, off+n) touches a status.
func (m *blockMap) set(off, n int64, flags uint32) {
	from := max(off/leaf.BlockSize-m.first(), 0)
	to := min((off+n+leaf.BlockSize-1)/leaf.BlockSize-m.first(), int64(len(m.flags)))
	for i := from; i < to; i++ {
		m.flags[i] = flags
	}
}

// runs returns the status as the NBD door wants it.
func (m *blockMap) runs() []nbd.Status {
	var out []nbd.Status
	for i, f := range m.flags {
		from := max((m.first()+int64(i))*leaf.BlockSize, m.off)
		n := min((m.first()+int64(i)+1)*leaf.BlockSize, m.off+m.n) - from
		if last := len(out) - 1; last >= 0 && out[last].Flags == f {
			out[last].Len += n
			continue
		}
		out = append(out, nbd.Status{Len: n, Flags: f})
	}
	return out
}

// dirty is weir:dirty:POINT: what may have changed since a point.
type dirty struct {
	contexts
	since *pointDevice
}

// Status implements nbd.Context.
func (d dirty) Status(off, n int64) ([]nbd.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pointReadTimeout)
	defer cancel()
	head, written, err := d.head(ctx, off, n)
	if err != nil {
		return nil, err
	}
	m := newBlockMap(off, n)
	if err := d.compare(ctx, m, head); err != nil {
		return nil, err
	}
	for _, x := range written {
		m.set(x.Off, x.Len, dirtyFlag)
	}
	return m.runs(), nil
}

// compare marks the blocks whose leaves differ between the point and head.
func (d dirty) compare(ctx context.Context, m *blockMap, head *pointDevice) error {
	if head == nil {
		m.set(m.off, m.n, dirtyFlag)
		return nil
	}
	if bytes.Equal(head.point.GetDigest(), d.since.point.GetDigest()) {
		return nil
	}
	leaves := &differ{}
	was, err := leaves.leaves(ctx, d.since, m.first(), int64(len(m.flags)))
	if err != nil {
		return fmt.Errorf("%w: %w", target.ErrIO, err)
	}
	is, err := leaves.leaves(ctx, head, m.first(), int64(len(m.flags)))
	if err != nil {
		return fmt.Errorf("%w: %w", target.ErrIO, err)
	}
	for i := range m.flags {
		if !bytes.Equal(was[8*i:8*i+8], is[8*i:8*i+8]) {
			m.flags[i] = dirtyFlag
		}
	}
	return nil
}

// classes is weir:class: the class of the last change.
type classes struct{ contexts }

// Status implements nbd.Context.
func (c classes) Status(off, n int64) ([]nbd.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pointReadTimeout)
	defer cancel()
	head, written, err := c.head(ctx, off, n)
	if err != nil {
		return nil, err
	}
	m := newBlockMap(off, n)
	if head != nil && head.size > off {
		has := min(n, head.size-off)
		r, err := head.calls.ExplainPoint(ctx, &rpc.ExplainPointRequest{Point: head.point, Volume: head.volume.UUID[:], Offset: off, Length: has, Content: true})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", target.ErrIO, err)
		}
		if r.GetOmitted() > 0 || r.GetEnd() < off+has {
			return nil, fmt.Errorf("%w: the provider has told classes of %d+%d in part", target.ErrIO, off, has)
		}
		for _, x := range r.GetChunks() {
			m.set(x.GetOffset(), x.GetLength(), classFlag(classify.Class(x.GetClass())))
		}
	}
	for _, x := range written {
		class := x.Tag.Class()
		if x.Zero {
			class = classify.ZeroBlock
		}
		m.set(x.Off, x.Len, classPending|classFlag(class))
	}
	return m.runs(), nil
}

// classFlag is the number of a class in weir:class; 0 stands for none.
func classFlag(c classify.Class) uint32 {
	switch c {
	case classify.ZeroBlock:
		return 1
	case classify.MetadataOnly:
		return 2
	case classify.SmallData:
		return 3
	case classify.MediumData:
		return 4
	}
	return 5
}
