package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history is a volume in memory with all its points.
type history struct {
	group  ident.GroupID
	volume ident.VolumeID
	rng    *rand.Rand
	points []*moment
	head   int // index of what Newest returns; -1: nothing yet
}

// moment is one point of a history.
type moment struct {
	h       *history
	number  uint64
	point   ident.Point
	content []byte
	gone    bool
}

func newHistory(seed uint64) *history {
	return &history{group: ident.GroupID{UUID: ident.NewUUID()}, volume: ident.VolumeID{UUID: ident.NewUUID()},
		rng: rand.New(rand.NewPCG(seed, 3)), head: -1}
}

// add makes a point out of content.
func (h *history) add(content []byte) *moment {
	n := uint64(len(h.points) + 1)
	m := &moment{h: h, number: n, content: bytes.Clone(content), point: ident.Point{Group: h.group,
		Timeline: ident.Timeline{UUID: ident.UUID{1}}, End: ident.Seq(n), Digest: ident.Digest{byte(n)}}}
	h.points = append(h.points, m)
	h.head = len(h.points) - 1
	return m
}

// mutated returns content with random changes, perhaps longer.
func (h *history) mutated(content []byte, grow bool) []byte {
	c := bytes.Clone(content)
	if grow {
		c = append(c, make([]byte, 512*(1+h.rng.IntN(40)))...)
	}
	for range 1 + h.rng.IntN(6) {
		off := h.rng.IntN(len(c))
		n := 1 + h.rng.IntN(min(len(c)-off, 20000))
		if h.rng.IntN(3) == 0 {
			clear(c[off : off+n])
			continue
		}
		for i := off; i < off+n; i++ {
			c[i] = byte(h.rng.Uint32())
		}
	}
	return c
}

func (h *history) Newest(...uint64) (Content, error) {
	if h.head < 0 {
		return nil, nil
	}
	return h.points[h.head], nil
}

func (h *history) At(p ident.Point) (Content, error) {
	for _, m := range h.points {
		if m.point == p && !m.gone {
			return m, nil
		}
	}
	return nil, ErrGone
}

func (h *history) Changed(from, to Content, f func(first, count uint64) error) error {
	t := to.(*moment)
	var old []byte
	if o, ok := from.(*moment); ok {
		old = o.content
	}
	for i := uint64(0); i*leaf.BlockSize < uint64(len(t.content)); i++ {
		if blockOf(old, i) != blockOf(t.content, i) || len(old) != len(t.content) {
			if err := f(i, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func blockOf(c []byte, i uint64) leaf.Leaf {
	off := min(i*leaf.BlockSize, uint64(len(c)))
	return leaf.Of(c[off:min(off+leaf.BlockSize, uint64(len(c)))])
}

func (m *moment) Point() ident.Point { return m.point }
func (m *moment) Number() uint64     { return m.number }
func (m *moment) Size() int64        { return int64(len(m.content)) }

func (m *moment) State() (s leaf.State) {
	for i := uint64(0); i*leaf.BlockSize < uint64(len(m.content)); i++ {
		s = s.Replace(m.h.volume, i, 0, blockOf(m.content, i))
	}
	return s
}

func (m *moment) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(m.content)) {
		copy(p, m.content[off:])
	}
	return nil
}

func (m *moment) Blocks(first uint64, out []BlockInfo) error {
	for i := range out {
		out[i] = BlockInfo{Leaf: blockOf(m.content, first+uint64(i)), Class: classify.Class(1 + (first+uint64(i))%4)}
	}
	return nil
}

// platter is a Backing in memory that can lose what was not synced.
type platter struct {
	step func() // called before each operation that changes something

	mu      sync.Mutex
	created bool
	content []byte
	synced  []byte
	dirty   map[int]bool // sectors written since the last Sync
	used    bool
	fail    int // the write with this number from now on fails; 0: none
}

const sector = 512

var errWrite = errors.New("write failed")

func (p *platter) open(Spec) (Backing, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used {
		return nil, false, ErrBusy
	}
	p.used = true
	created := p.created
	p.created = false
	return p, created, nil
}

func (p *platter) ReadAt(b []byte, off int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(b)
	if off < int64(len(p.content)) {
		copy(b, p.content[off:])
	}
	return nil
}

func (p *platter) WriteAt(b []byte, off int64) error {
	p.step()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail--; p.fail == 0 {
		return errWrite
	}
	if off+int64(len(b)) > int64(len(p.content)) {
		return fmt.Errorf("write at %d+%d of %d bytes", off, len(b), len(p.content))
	}
	copy(p.content[off:], b)
	for s := off / sector; s*sector < off+int64(len(b)); s++ {
		p.dirty[int(s)] = true
	}
	return nil
}

func (p *platter) Zero(off, n int64) error { return p.WriteAt(make([]byte, n), off) }

func (p *platter) Sync() error {
	p.step()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.synced = bytes.Clone(p.content)
	clear(p.dirty)
	return nil
}

func (p *platter) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = false
	return nil
}

func (p *platter) Grow(size int64) error {
	p.step()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := size - int64(len(p.content)); n > 0 {
		p.content = append(p.content, make([]byte, n)...)
	}
	return nil
}

func (p *platter) Size() (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.content)), nil
}

func (p *platter) Data(off int64) (start, end int64, err error) {
	n, err := p.Size()
	return min(off, n), n, err
}

// crash returns what is left after a power loss: what was synced, and any part of the sectors written since.
func (p *platter) crash(rng *rand.Rand) *platter {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newPlatter()
	c.content = bytes.Clone(p.synced)
	if rng.IntN(2) == 0 && len(p.content) > len(c.content) {
		c.content = append(c.content, make([]byte, len(p.content)-len(c.content))...)
	}
	for s := range p.dirty {
		if from := s * sector; rng.IntN(2) == 0 && from < len(c.content) {
			copy(c.content[from:min(from+sector, len(c.content))], p.content[from:])
		}
	}
	c.synced = bytes.Clone(c.content)
	return c
}

func newPlatter() *platter {
	return &platter{step: func() {}, dirty: map[int]bool{}}
}

// rig is a disk with everything around it.
type rig struct {
	tb   testing.TB
	h    *history
	p    *platter
	fs   vfs.FS
	spec Spec
	*Disk
}

func newRig(tb testing.TB, h *history, p *platter, fs vfs.FS, policy Policy) *rig {
	tb.Helper()
	r := &rig{tb: tb, h: h, p: p, fs: fs, spec: Spec{ID: ident.UUID{5}, Group: h.group, Volume: h.volume, Kind: Raw,
		Place: "disk", Policy: policy}}
	r.open()
	return r
}

func (r *rig) open() {
	r.tb.Helper()
	d, err := New(r.spec, Options{FS: r.fs, Dir: ".", OpenBacking: r.p.open})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.Disk = d
}

func (r *rig) follow() {
	r.tb.Helper()
	if err := r.Follow(context.Background(), r.h); err != nil {
		r.tb.Fatal(err)
	}
}

// refuses follows and expects an error of the kind.
func (r *rig) refuses(want error) error {
	r.tb.Helper()
	err := r.Follow(context.Background(), r.h)
	if !errors.Is(err, want) {
		r.tb.Fatalf("got %v, want %v", err, want)
	}
	return err
}

func (r *rig) close() {
	r.tb.Helper()
	if err := r.Disk.Close(); err != nil {
		r.tb.Fatal(err)
	}
}

// shows checks that the disk says that it shows m, and does.
func (r *rig) shows(m *moment) {
	r.tb.Helper()
	s := r.Status()
	if s.State != Clean || s.Point != m.point || s.Number != m.number || s.Err != nil {
		r.tb.Fatalf("status %+v, want clean at %d", s, m.number)
	}
	if !bytes.Equal(r.p.content, m.content) {
		r.tb.Fatalf("disk of %d bytes is not point %d of %d bytes", len(r.p.content), m.number, len(m.content))
	}
	rep, err := r.Verify(context.Background(), r.h)
	if err != nil || rep.Differing != 0 || !rep.StateMatch() || rep.Point != m.point {
		r.tb.Fatalf("report %+v, %v", rep, err)
	}
}
