package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
)

// source is a gateway in memory: volumes whose content at every point is remembered, and the packs and commits that
// carry the points.
type source struct {
	tb       testing.TB
	group    ident.GroupID
	timeline ident.Timeline
	rng      *rand.Rand
	encoder  *codec.Encoder
	volumes  []*sourceVolume
	states   map[ident.VolumeID]leaf.State
	head     ident.Point
	number   uint64
	end      ident.Seq
	points   []*sourcePoint
	packs    *wirePacks
}

type sourceVolume struct {
	id      ident.VolumeID
	content []byte
	old     []byte
	created bool
	changed []codec.Extent
}

// sourcePoint is what a point must read as.
type sourcePoint struct {
	entry   Entry
	point   ident.Point
	content map[ident.VolumeID][]byte
}

// memoryView is content as a codec.View.
type memoryView []byte

func (m memoryView) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(m)) {
		copy(p, m[off:])
	}
	return nil
}

func newSource(tb testing.TB, seed uint64) *source {
	return &source{
		tb: tb, group: ident.GroupID{UUID: ident.NewUUID()}, timeline: ident.Timeline{UUID: ident.NewUUID()},
		rng:     rand.New(rand.NewPCG(seed, 1)),
		encoder: codec.NewEncoder(codec.Options{IndexBytes: -1}),
		states:  map[ident.VolumeID]leaf.State{}, packs: newWirePacks(),
	}
}

func (s *source) addVolume(size int64) *sourceVolume {
	v := &sourceVolume{id: ident.VolumeID{UUID: ident.NewUUID()}, content: make([]byte, size), created: true}
	s.volumes = append(s.volumes, v)
	return v
}

func (s *source) dropVolume(i int) {
	delete(s.states, s.volumes[i].id)
	s.volumes = append(s.volumes[:i:i], s.volumes[i+1:]...)
}

func (v *sourceVolume) begin() {
	if v.old == nil {
		v.old = bytes.Clone(v.content)
		if v.created {
			v.old = nil
		}
	}
}

func (v *sourceVolume) write(off int64, p []byte) {
	v.begin()
	copy(v.content[off:], p)
	v.note(off, int64(len(p)))
}

func (v *sourceVolume) zero(off, n int64) {
	v.begin()
	clear(v.content[off : off+n])
	v.note(off, n)
}

func (v *sourceVolume) grow(size int64) {
	v.begin()
	v.content = append(v.content, make([]byte, size-int64(len(v.content)))...)
}

// note adds a changed range, keeping the list sorted and without overlap.
func (v *sourceVolume) note(off, n int64) {
	if n == 0 {
		return
	}
	end := off + n
	var out []codec.Extent
	for _, x := range v.changed {
		if x.Off+x.Len < off || x.Off > end {
			out = append(out, x)
			continue
		}
		off, end = min(off, x.Off), max(end, x.Off+x.Len)
	}
	out = append(out, codec.Extent{Off: off, Len: end - off})
	for i := len(out) - 1; i > 0 && out[i].Off < out[i-1].Off; i-- {
		out[i], out[i-1] = out[i-1], out[i]
	}
	v.changed = out
}

// mutate makes random changes, in number about n.
func (s *source) mutate(n int) {
	for range n {
		v := s.volumes[s.rng.IntN(len(s.volumes))]
		size := int64(len(v.content))
		off := s.rng.Int64N(size)
		length := 1 + s.rng.Int64N(min(size-off, []int64{16, 512, 5000, 70000, 300000}[s.rng.IntN(5)]))
		switch s.rng.IntN(6) {
		case 0:
			v.zero(off, length)
		case 1:
			v.write(off, bytes.Repeat([]byte{byte(s.rng.IntN(256))}, int(length)))
		case 2:
			v.write(off, v.content[off:off+length]) // the same again
		default:
			v.write(off, s.random(int(length)))
		}
	}
}

func (s *source) random(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		x := s.rng.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j] = byte(x >> (8 * (j - i)))
		}
	}
	return b
}

// seal makes a point of what was changed since the last one.
func (s *source) seal() *sourcePoint {
	s.tb.Helper()
	changes := make([]codec.VolumeChange, len(s.volumes))
	for i, v := range s.volumes {
		v.begin()
		changes[i] = codec.VolumeChange{Volume: v.id, Size: int64(len(v.content)), Extents: v.changed, Old: memoryView(v.old),
			New: memoryView(v.content), State: s.states[v.id]}
	}
	sum, err := s.encoder.Encode(context.Background(), changes, func(p pack.Pack) error {
		s.packs.put(p.ID, p.Bytes)
		return nil
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.encoder.Accept()
	first := s.end + 1
	s.end += 1 + ident.Seq(s.rng.IntN(5))
	s.number++
	c := &replicate.Commit{Group: s.group, Timeline: s.timeline, Previous: s.head, First: first, End: s.end,
		Time: int64(s.number), Packs: sum.Packs}
	p := &sourcePoint{content: map[ident.VolumeID][]byte{}}
	for i, v := range s.volumes {
		state := sum.Volumes[i].State
		if want := stateOf(v.id, v.content); state != want {
			s.tb.Fatalf("encoder says state %v of volume %s at point %d, its content has %v", state, v.id, s.number, want)
		}
		c.Volumes = append(c.Volumes, replicate.VolumeState{Volume: v.id, Name: fmt.Sprint("v", i), Size: int64(len(v.content)),
			BlockSize: 512, State: state})
		s.states[v.id] = state
		p.content[v.id] = bytes.Clone(v.content)
		v.old, v.changed, v.created = nil, nil, false
	}
	p.entry, p.point = Entry{Number: s.number, Commit: c}, c.Point()
	s.head = p.point
	s.points = append(s.points, p)
	return p
}

// back has the source go on from an earlier point, on a new timeline.
func (s *source) back(p *sourcePoint) {
	s.head = p.point
	s.timeline = ident.Timeline{UUID: ident.NewUUID()}
	s.volumes = nil
	s.states = map[ident.VolumeID]leaf.State{}
	for _, v := range p.entry.Commit.Volumes {
		s.volumes = append(s.volumes, &sourceVolume{id: v.Volume, content: bytes.Clone(p.content[v.Volume])})
		s.states[v.Volume] = v.State
	}
}

func stateOf(v ident.VolumeID, content []byte) leaf.State {
	var s leaf.State
	for i := 0; i < len(content); i += leaf.BlockSize {
		s = s.Replace(v, uint64(i/leaf.BlockSize), 0, leaf.Of(content[i:min(i+leaf.BlockSize, len(content))]))
	}
	return s
}

// node is a Set on a file system in memory.
type node struct {
	tb  testing.TB
	fs  vfs.FS
	dir string
	opt Options
	*Set
}

func newNode(tb testing.TB, fs vfs.FS, src *source, change func(*Options)) *node {
	tb.Helper()
	dir := "node"
	if fs == nil {
		fs, dir = vfs.Default, filepath.Join(tb.TempDir(), "node")
	}
	n := &node{tb: tb, fs: fs, dir: dir}
	n.opt = Options{Dir: fs.PathJoin(dir, "replica"), FS: fs, Workers: 2,
		Fetch: func(_ context.Context, _ ident.GroupID, id pack.ID) ([]byte, error) {
			if b := src.packs.get(id); b != nil {
				return b, nil
			}
			return nil, packs.ErrNotFound
		}}
	if change != nil {
		change(&n.opt)
	}
	n.open()
	tb.Cleanup(func() {
		if n.Set != nil {
			n.close()
		}
	})
	return n
}

func (n *node) open() {
	n.tb.Helper()
	n.openWithoutDisks()
	n.SetDisks(nil)
}

// openWithoutDisks leaves the node without a word on which disks there are, as it is when it has just started.
func (n *node) openWithoutDisks() {
	n.tb.Helper()
	var err error
	if n.opt.Packs, err = packs.Open(n.fs.PathJoin(n.dir, "packs"), packs.Options{FS: n.fs}); err != nil {
		n.tb.Fatal(err)
	}
	if n.Set, err = Open(n.opt); err != nil {
		n.tb.Fatal(err)
	}
}

func (n *node) close() {
	n.tb.Helper()
	if err := n.Set.Close(); err != nil {
		n.tb.Fatal(err)
	}
	n.Set = nil
}

// wait waits for a point, and with disks until all that SetDisks named show it, with the test's patience.
func (n *node) wait(p *sourcePoint, disks bool) {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var ids []ident.UUID
	if disks {
		n.Set.mu.Lock()
		for _, spec := range n.Set.specs {
			ids = append(ids, spec.ID)
		}
		n.Set.mu.Unlock()
	}
	if err := n.WaitApplied(ctx, p.point, ids...); err != nil {
		n.tb.Fatalf("point %d: %v", p.entry.Number, err)
	}
}

// check reads a whole point and compares it, its leaves, extents and state hashes.
func (n *node) check(p *sourcePoint) {
	n.tb.Helper()
	q, err := n.Point(p.point)
	if err != nil {
		n.tb.Fatalf("point %d: %v", p.entry.Number, err)
	}
	if len(q.Volumes()) != len(p.content) {
		n.tb.Fatalf("point %d has %d volumes, want %d", p.entry.Number, len(q.Volumes()), len(p.content))
	}
	for id, want := range p.content {
		got := make([]byte, len(want))
		if err := q.ReadAt(id, got, 0); err != nil {
			n.tb.Fatalf("point %d: %v", p.entry.Number, err)
		}
		if !bytes.Equal(got, want) {
			n.tb.Fatalf("point %d, volume %s differs from byte %d on", p.entry.Number, id, differs(got, want))
		}
		n.checkLeaves(q, id, want)
		n.checkExtents(q, id, want)
	}
}

func differs(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func (n *node) checkLeaves(q *Point, id ident.VolumeID, want []byte) {
	n.tb.Helper()
	leaves, err := q.Leaves(id, 0, (len(want)+leaf.BlockSize-1)/leaf.BlockSize)
	if err != nil {
		n.tb.Fatal(err)
	}
	for i, l := range leaves {
		if w := leaf.Of(want[i*leaf.BlockSize : min((i+1)*leaf.BlockSize, len(want))]); l != w {
			n.tb.Fatalf("leaf %d is %x, want %x", i, l, w)
		}
	}
}

func (n *node) checkExtents(q *Point, id ident.VolumeID, want []byte) {
	n.tb.Helper()
	list, err := q.Extents(id, 0, int64(len(want)))
	if err != nil {
		n.tb.Fatal(err)
	}
	at := int64(0)
	for _, x := range list {
		if x.Off != at || x.Len <= 0 {
			n.tb.Fatalf("extent %+v, want one at %d", x, at)
		}
		if x.Kind != 0 && !leaf.IsZero(want[x.Off:x.Off+x.Len]) {
			n.tb.Fatalf("extent %+v is not zero", x)
		}
		at += x.Len
	}
	if at != int64(len(want)) {
		n.tb.Fatalf("extents end at %d of %d", at, len(want))
	}
}

func (n *node) gone(p *sourcePoint) {
	n.tb.Helper()
	if _, err := n.Point(p.point); !errors.Is(err, ErrNotIngested) {
		n.tb.Fatalf("point %d: %v, want ErrNotIngested", p.entry.Number, err)
	}
}
