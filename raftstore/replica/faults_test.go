package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/target"
)

// peer reads from another node; nil while there is none.
type peer struct{ n *node }

func (p *peer) point(q ident.Point) (*Point, error) {
	if p.n == nil {
		return nil, ErrNotIngested
	}
	return p.n.Point(q)
}

func (p *peer) ReadPoint(_ context.Context, q ident.Point, v ident.VolumeID, off int64, n int) ([]byte, error) {
	r, err := p.point(q)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	return b, r.ReadAt(v, b, off)
}

func (p *peer) Leaves(_ context.Context, q ident.Point, v ident.VolumeID, first uint64, n int) ([]leaf.Leaf, error) {
	r, err := p.point(q)
	if err != nil {
		return nil, err
	}
	return r.Leaves(v, first, n)
}

func (p *peer) Extents(_ context.Context, q ident.Point, v ident.VolumeID, off, n int64) ([]target.Extent, error) {
	r, err := p.point(q)
	if err != nil {
		return nil, err
	}
	return r.Extents(v, off, n)
}

// failing waits until the group tells of an error that is want.
func (n *node) failing(src *source, want error) error {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	g, err := n.group(src.group)
	if err != nil {
		n.tb.Fatal(err)
	}
	for {
		g.mu.Lock()
		err, news := g.err, g.news
		g.mu.Unlock()
		if errors.Is(err, want) {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			n.tb.Fatalf("waited for %v, group says %v", want, err)
		}
	}
}

// seals makes k points of random changes.
func (s *source) seals(k int) []*sourcePoint {
	var out []*sourcePoint
	for range k {
		s.mutate(6)
		out = append(out, s.seal())
	}
	return out
}

// TestCatchUp gives a node the newest entries only, when nobody has the wire packs of the others any more.
func TestCatchUp(t *testing.T) {
	src := newSource(t, 31)
	v := src.addVolume(3<<20 + 512)
	a := newNode(t, vfs.NewMem(), src, nil)
	b := newNode(t, vfs.NewMem(), src, func(o *Options) { o.Peer = &peer{a}; o.LandingBytes = 100 << 10 })
	for _, p := range src.seals(3) {
		a.Advance(p.entry)
		b.Advance(p.entry)
	}
	b.wait(src.points[2], false)
	v.grow(4<<20 + 1024)
	src.addVolume(100 << 10)
	v.zero(1<<20, 1<<20)
	for _, p := range src.seals(4) {
		a.Advance(p.entry)
	}
	last := src.points[6]
	a.wait(last, false)
	src.packs.forget()
	b.Advance(last.entry) // 4 to 6 are not kept any more
	b.wait(last, false)
	b.check(last)
	b.gone(src.points[5])
	for _, p := range src.points[:3] {
		b.check(p)
	}
	empty := newNode(t, vfs.NewMem(), src, func(o *Options) { o.Peer = &peer{b} })
	empty.Advance(last.entry)
	empty.wait(last, false)
	empty.check(last)
}

func TestGoneWithoutPeer(t *testing.T) {
	src := newSource(t, 32)
	src.addVolume(1 << 20)
	other := &peer{}
	n := newNode(t, vfs.NewMem(), src, func(o *Options) { o.Peer = other })
	p := src.seals(1)[0]
	saved := src.packs.all()
	src.packs.forget()
	n.Advance(p.entry)
	err := n.failing(src, errGone)
	if !errors.Is(err, packs.ErrNotFound) {
		t.Errorf("the error does not tell what is missing: %v", err)
	}
	if _, err := n.Point(p.point); !errors.Is(err, ErrNotIngested) {
		t.Errorf("offered: %v", err)
	}
	for id, b := range saved {
		if err := n.opt.Packs.Put(id, b); err != nil {
			t.Fatal(err)
		}
	}
	n.Retry(src.group)
	n.wait(p, false)
	n.check(p)
	if err := n.Err(src.group); err != nil {
		t.Errorf("the error stays: %v", err)
	}
}

// TestMismatch alters what the decoder hands out: the point is not offered, the error names the volume and where, and
// nothing of the attempt is left.
func TestMismatch(t *testing.T) {
	for _, landing := range []int64{1, 1 << 20} {
		src := newSource(t, 33)
		v := src.addVolume(1 << 20)
		lie := false
		n := newNode(t, vfs.NewMem(), src, func(o *Options) {
			o.LandingBytes, o.Workers = landing, 1
			o.Decode = func(ctx context.Context, read func(int) ([]byte, error), to codec.Target) error {
				emit := to.Emit
				to.Emit = func(c codec.Chunk) error {
					if lie && len(c.Data) > 0 {
						c.Data[0] ^= 1
					}
					return emit(c)
				}
				return codec.Decode(ctx, read, to)
			}
		})
		first := src.seals(1)[0]
		n.Advance(first.entry)
		n.wait(first, false)
		before := n.Usage()
		lie = true
		v.write(8192, src.random(20000))
		p := src.seal()
		n.Advance(p.entry)
		var m *MismatchError
		if err := n.failing(src, ErrMismatch); !errors.As(err, &m) || m.Volume != v.id || m.Point != p.point {
			t.Fatalf("error %v", err)
		}
		if len(m.Ranges) != 1 || m.Ranges[0].Off != 8192 || m.Ranges[0].Len < 20000 || m.Ranges[0].Len > 24576 {
			t.Errorf("ranges %v", m.Ranges)
		}
		n.gone(p)
		n.check(first)
		n.settle()
		if u := n.Usage(); u.BlocksLive != before.BlocksLive {
			t.Errorf("landing of %d: %d live blocks, before %d", landing, u.BlocksLive, before.BlocksLive)
		}
		n.close()
		lie = false
		n.open()
		n.Advance(p.entry)
		n.wait(p, false)
		n.check(p)
	}
}

func TestShrunkVolume(t *testing.T) {
	src := newSource(t, 34)
	src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	p := src.seals(1)[0]
	n.Advance(p.entry)
	n.wait(p, false)
	q := src.seals(1)[0]
	c := *q.entry.Commit
	c.Volumes = append([]replicate.VolumeState(nil), c.Volumes...)
	c.Volumes[0].Size = 512
	n.Advance(Entry{Number: q.entry.Number, Commit: &c})
	n.failing(src, ErrMismatch)
}

// TestDamageIsNamed flips a byte of a store pack: reads of the block fail with its range, others go on.
func TestDamageIsNamed(t *testing.T) {
	mem := vfs.NewMem()
	src := newSource(t, 35)
	v := src.addVolume(1 << 20)
	n := newNode(t, mem, src, func(o *Options) { o.FrameCacheBytes = 1 })
	v.write(0, src.random(64<<10))
	v.write(512<<10, src.random(64<<10))
	p := src.seal()
	n.Advance(p.entry)
	n.wait(p, false)
	n.close()
	f, err := mem.OpenReadWrite("node/replica/store/00000001.pack", "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1, 2, 3}, 5000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	n.open()
	q, err := n.Point(p.point)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	var m *target.MediumError
	if err := q.ReadAt(v.id, b, 8192); !errors.As(err, &m) || m.Off != 8192 || m.Len != 4096 {
		t.Errorf("read of a damaged block: %v", err)
	}
	if err := q.ReadAt(v.id, b, 512<<10); err != nil {
		t.Errorf("read of a sound block: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	src := newSource(t, 36)
	src.addVolume(1 << 20)
	n := newNode(t, vfs.NewMem(), src, nil)
	p := src.seals(1)[0]
	n.Advance(p.entry)
	n.wait(p, false)
	q, err := n.Point(p.point)
	if err != nil {
		t.Fatal(err)
	}
	id := src.volumes[0].id
	b := make([]byte, 100)
	for name, c := range map[string]struct{ got, want error }{
		"beyond the end":  {q.ReadAt(id, b, 1<<20-50), target.ErrOutOfRange},
		"negative":        {q.ReadAt(id, b, -1), target.ErrOutOfRange},
		"another volume":  {q.ReadAt(ident.VolumeID{UUID: ident.NewUUID()}, b, 0), ErrNoVolume},
		"too many leaves": {second(q.Leaves(id, 200, 57)), target.ErrOutOfRange},
		"extents":         {second(q.Extents(id, 0, 1<<20+1)), target.ErrOutOfRange},
		"no disk":         {second(n.VerifyDisk(context.Background(), ident.NewUUID())), ErrNoDisk},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	d, err := q.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	if !d.ReadOnly() || d.Size() != 1<<20 || d.BlockSize() != 512 {
		t.Errorf("device of %d bytes in blocks of %d, read-only %v", d.Size(), d.BlockSize(), d.ReadOnly())
	}
	for _, err := range []error{d.WriteAt(b, 0, false), d.Trim(0, 1, false), d.WriteZeroes(0, 1, 0)} {
		if !errors.Is(err, target.ErrReadOnly) {
			t.Errorf("a write to a point: %v", err)
		}
	}
	if err := d.ReadAt(b, 0); err != nil || d.Flush() != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
