package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a Provider in memory that decodes what it is sent and keeps the content of every point.
type store struct {
	mu      sync.Mutex
	term    uint64
	cluster ident.ClusterID
	packs   map[pack.ID][]byte
	commits []*Commit
	kept    []ident.Point
	content map[ident.VolumeID][]byte

	// fault, when set, is asked before and after the effect of each call and may fail it.
	fault func(call string, after bool) error
}

func newStore() *store {
	return &store{cluster: ident.ClusterID{UUID: ident.NewUUID()}, packs: map[pack.ID][]byte{},
		content: map[ident.VolumeID][]byte{}}
}

// around runs f between the two moments at which a call may fail: its effect is lost, or only its answer is.
func (s *store) around(call string, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		if err := s.fault(call, false); err != nil {
			return err
		}
	}
	if err := f(); err != nil {
		return err
	}
	if s.fault != nil {
		return s.fault(call, true)
	}
	return nil
}

func (s *store) headLocked() ident.Point {
	if len(s.commits) == 0 {
		return ident.Point{}
	}
	return s.commits[len(s.commits)-1].Point()
}

func (s *store) OpenSession(_ context.Context, q SessionRequest) (r Session, err error) {
	err = s.around("open", func() error {
		s.term++
		r = Session{Cluster: s.cluster, Term: s.term, Head: s.headLocked(), States: map[ident.VolumeID]leaf.State{}}
		if n := len(s.commits); n > 0 {
			r.Volumes = s.commits[n-1].Volumes
			for _, v := range r.Volumes {
				r.States[v.Volume] = v.State
			}
		}
		return nil
	})
	return r, err
}

func (s *store) CheckSession(_ context.Context, _ ident.GroupID, term uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if term != s.term {
		return rpc.ErrStaleTerm
	}
	return nil
}

func (s *store) PutPack(_ context.Context, _ ident.GroupID, term uint64, p pack.Pack) error {
	return s.around("put", func() error {
		if term != s.term {
			return rpc.ErrStaleTerm
		}
		s.packs[p.ID] = bytes.Clone(p.Bytes)
		return nil
	})
}

func (s *store) Commit(_ context.Context, term uint64, c *Commit, inline []pack.Pack) (number uint64, err error) {
	err = s.around("commit", func() error {
		if term != s.term {
			return rpc.ErrStaleTerm
		}
		if c.Point() == s.headLocked() {
			number = uint64(len(s.commits))
			return nil
		}
		if c.Previous != s.headLocked() {
			return fmt.Errorf("%w: builds on %s, head is %s", rpc.ErrNotHead, c.Previous, s.headLocked())
		}
		for _, p := range inline {
			s.packs[p.ID] = bytes.Clone(p.Bytes)
		}
		if err := s.applyLocked(c); err != nil {
			return err
		}
		s.commits = append(s.commits, c)
		number = uint64(len(s.commits))
		return nil
	})
	return number, err
}

// applyLocked decodes c onto the content and checks its state hashes.
func (s *store) applyLocked(c *Commit) error {
	var packs [][]byte
	for _, r := range c.Packs {
		b, ok := s.packs[r.ID]
		if !ok {
			return rpc.ErrMissing
		}
		packs = append(packs, b)
	}
	next := map[ident.VolumeID][]byte{}
	for _, v := range c.Volumes {
		next[v.Volume] = make([]byte, v.Size)
		copy(next[v.Volume], s.content[v.Volume])
	}
	err := codec.Decode(context.Background(), codec.Packs(packs...), codec.Target{
		Old: func(id ident.VolumeID) codec.View { return flat(s.content[id]) },
		Emit: func(ch codec.Chunk) error {
			if ch.Unchanged {
				return nil
			}
			b := next[ch.Volume][ch.Off : ch.Off+ch.Len]
			if ch.Zero {
				clear(b)
			} else {
				copy(b, ch.Data)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	for _, v := range c.Volumes {
		if got := stateOf(v.Volume, next[v.Volume]); got != v.State {
			return fmt.Errorf("volume %s: state is %s, commit says %s", v.Name, got, v.State)
		}
	}
	s.content = next
	return nil
}

func stateOf(v ident.VolumeID, content []byte) leaf.State {
	var st leaf.State
	for i := 0; i < len(content); i += leaf.BlockSize {
		st = st.Replace(v, uint64(i/leaf.BlockSize), 0, leaf.Of(content[i:min(i+leaf.BlockSize, len(content))]))
	}
	return st
}

// flat is a View of a slice.
type flat []byte

func (f flat) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(f)) {
		copy(p, f[off:])
	}
	return nil
}

// rig is a group in a folder, a store and a shipper between them.
type rig struct {
	t       *testing.T
	dir     string
	group   *intercept.Group
	store   *store
	ship    *Shipper
	stop    context.CancelFunc
	done    chan error
	gateway ident.UUID
	act     Act
	acted   int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir() + "/group", store: newStore(), gateway: ident.NewUUID()}
	g, err := intercept.Create(r.dir, intercept.Options{LogBudget: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r.group = g
	t.Cleanup(func() { r.halt(); _ = r.group.Close() })
	return r
}

func (r *rig) volume(name string, size int64) *intercept.Volume {
	r.t.Helper()
	v, err := r.group.CreateVolume(intercept.VolumeSpec{Name: name, Size: size, BlockSize: 512})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.done = cancel, make(chan error, 1)
	r.ship = NewShipper(Options{Group: r.group, GroupName: "g", Provider: r.store, Gateway: r.gateway,
		GatewayName: "gw", Logger: slog.New(slog.DiscardHandler), CheckEvery: 10 * time.Millisecond,
		Act: r.act, Content: r.store, OnAct: func() error { r.acted++; return nil }})
	go func() { r.done <- r.ship.Run(ctx) }()
}

// halt stops the shipper and returns what Run returned.
func (r *rig) halt() error {
	if r.stop == nil {
		return nil
	}
	r.stop()
	r.stop = nil
	return <-r.done
}

// reopen closes the group and opens it again, as after a restart.
func (r *rig) reopen() {
	r.t.Helper()
	_ = r.halt()
	if err := r.group.Close(); err != nil && !errors.Is(err, target.ErrFenced) {
		r.t.Fatal(err)
	}
	g, err := intercept.Open(r.dir, intercept.Options{LogBudget: 64 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	r.group = g
}

// settle seals and waits until everything written so far is committed.
func (r *rig) settle() {
	r.t.Helper()
	end, err := r.group.Seal(r.t.Context(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for r.ship.Status().Head.End < end {
		if time.Now().After(deadline) {
			r.t.Fatalf("%d is not committed: shipper is %+v", end, r.ship.Status())
		}
		time.Sleep(time.Millisecond)
	}
}

// same holds the store's content of a volume against the volume.
func (r *rig) same(v *intercept.Volume) {
	r.t.Helper()
	want := make([]byte, v.Size())
	if err := v.ReadAt(want, 0); err != nil {
		r.t.Fatal(err)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if !bytes.Equal(want, r.store.content[v.ID()]) {
		r.t.Fatalf("volume %s differs at the provider", v.Name())
	}
}

func scribble(t *testing.T, rnd *rand.Rand, v target.Device, writes int) {
	t.Helper()
	for range writes {
		p := make([]byte, 512*(1+rnd.IntN(64)))
		for i := range p {
			p[i] = byte(rnd.IntN(3))
		}
		off := rnd.Int64N((v.Size()-int64(len(p)))/512) * 512
		var err error
		switch rnd.IntN(6) {
		case 0:
			err = v.Trim(off, int64(len(p)), false)
		default:
			err = v.WriteAt(p, off, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestShipperFollows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	a, b := r.volume("a", 4<<20), r.volume("b", 1<<20)
	r.start()
	for range 8 {
		scribble(t, rnd, a, 20)
		scribble(t, rnd, b, 5)
		r.settle()
		r.same(a)
		r.same(b)
	}
	if st := r.ship.Status(); st.State != Following || st.Commits == 0 || st.Head != r.group.Ledger().Committed {
		t.Errorf("status is %+v", st)
	}
}

// TestExactlyOnce lets every call fail before or after its effect in turn, with a restart of the gateway now and then:
// every point is committed once, in order, and the content is right.
func TestExactlyOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	v := r.volume("v", 2<<20)
	faults := rand.New(rand.NewPCG(seed, 1)) // asked under the store's lock
	r.store.fault = func(string, bool) error {
		if faults.IntN(5) == 0 {
			return errors.New("the link broke")
		}
		return nil
	}
	for round := range 12 {
		r.start()
		scribble(t, rnd, v, 10)
		if round%3 == 0 {
			if _, err := r.group.Seal(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			r.reopen()
			v = r.group.Volumes()[0]
			continue
		}
		r.settle()
		r.same(v)
		_ = r.halt()
	}
	var last ident.Point
	for _, c := range r.store.commits {
		if c.Previous != last {
			t.Fatalf("%s builds on %s, not on %s", c.Point(), c.Previous, last)
		}
		last = c.Point()
	}
}

// A gateway from which the group was taken learns of it without being written to.
func TestFencedGatewayRefusesWrites(t *testing.T) {
	r := newRig(t)
	v := r.volume("v", 1<<20)
	r.start()
	scribble(t, rand.New(rand.NewPCG(1, 1)), v, 3)
	r.settle()
	if _, err := r.store.OpenSession(t.Context(), SessionRequest{}); err != nil { // another gateway
		t.Fatal(err)
	}
	if err := <-r.done; !errors.Is(err, rpc.ErrStaleTerm) {
		t.Fatalf("Run returned %v", err)
	}
	r.stop()
	r.stop = nil
	if err := v.WriteAt(make([]byte, 512), 0, false); !errors.Is(err, target.ErrFenced) {
		t.Fatalf("a fenced gateway answered a write with %v", err)
	}
	if st := r.ship.Status(); st.State != Fenced || st.Reason == "" {
		t.Errorf("status is %+v", st)
	}
}

func TestMissingPacksAreSentAgain(t *testing.T) {
	r := newRig(t)
	v := r.volume("v", 4<<20)
	lost := false
	r.store.fault = func(call string, after bool) error {
		if call == "commit" && !after && !lost {
			lost = true
			clear(r.store.packs)
			return rpc.ErrMissing
		}
		return nil
	}
	noise := make([]byte, 2<<20)
	rnd := rand.New(rand.NewPCG(3, 3))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	if err := v.WriteAt(noise, 0, false); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.settle()
	r.same(v)
	if !lost {
		t.Error("the fault did not fire")
	}
}
