package replicate

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

// Leaves and ReadPoint make the store a Content of its newest point.
func (s *store) Leaves(_ context.Context, p ident.Point, v ident.VolumeID, first uint64, count int) (out []leaf.Leaf, err error) {
	err = s.around("leaves", func() error {
		if p != s.headLocked() {
			return rpc.ErrUnknown
		}
		b := s.content[v][first*leaf.BlockSize:]
		for i := range count {
			out = append(out, leaf.Of(b[i*leaf.BlockSize:min((i+1)*leaf.BlockSize, len(b))]))
		}
		return nil
	})
	return out, err
}

func (s *store) ReadPoint(_ context.Context, p ident.Point, v ident.VolumeID, off int64, n int) (b []byte, err error) {
	err = s.around("read", func() error {
		if p != s.headLocked() {
			return rpc.ErrUnknown
		}
		b = append(b, s.content[v][off:off+int64(n)]...)
		return nil
	})
	return b, err
}

func (s *store) Keep(_ context.Context, p ident.Point, _ string) error {
	return s.around("keep", func() error {
		s.kept = append(s.kept, p)
		return nil
	})
}

// restored returns a rig of another gateway whose folder is filled from r's store.
func (r *rig) restored(name string) *rig {
	r.t.Helper()
	o := &rig{t: r.t, dir: r.t.TempDir() + "/" + name, store: r.store, gateway: ident.NewUUID(), act: Restored}
	_, err := Restore(r.t.Context(), RestoreOptions{
		Group: r.group.ID(), GroupName: "g", Provider: r.store, Content: r.store, Gateway: o.gateway, GatewayName: name,
		Dir: o.dir, Intercept: intercept.Options{LogBudget: 64 << 20},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if o.group, err = intercept.Open(o.dir, intercept.Options{LogBudget: 64 << 20}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = o.halt(); _ = o.group.Close() })
	return o
}

// fenced waits until the shipper ends by itself with want, and checks that the group takes no write any more.
func (r *rig) fenced(want error) {
	r.t.Helper()
	err := <-r.done
	r.stop()
	r.stop = nil
	if !errors.Is(err, want) {
		r.t.Fatalf("Run returned %v, want %v", err, want)
	}
	if err := r.group.Volumes()[0].WriteAt(make([]byte, 512), 0, false); !errors.Is(err, target.ErrFenced) {
		r.t.Fatalf("a group whose history is another's answered a write with %v", err)
	}
}

// TestRestoreAndOverwrite lets two gateways take a group from each other. The second restores it and goes on; the first
// is fenced, also after a restart, and then makes its own content the next point although it has another history.
func TestRestoreAndOverwrite(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	first := newRig(t)
	a, b := first.volume("a", 6<<20), first.volume("b", 1<<20+512)
	first.start()
	scribble(t, rnd, a, 40)
	scribble(t, rnd, b, 10)
	first.settle()
	before := first.group.Ledger().Committed

	second := first.restored("second")
	for i, v := range second.group.Volumes() {
		if want := first.group.Volumes()[i]; v.ID() != want.ID() || v.Name() != want.Name() || v.BlockSize() != want.BlockSize() {
			t.Errorf("volume %d is %s, want %s", i, v.Name(), want.Name())
		}
		second.same(v)
	}
	first.fenced(rpc.ErrStaleTerm)
	second.start()
	for range 3 {
		scribble(t, rnd, second.group.Volumes()[0], 20)
		second.settle()
		second.same(second.group.Volumes()[0])
	}
	second.reopen()
	second.act = None
	second.start()
	scribble(t, rnd, second.group.Volumes()[1], 5)
	second.settle()
	second.same(second.group.Volumes()[1])
	if second.acted != 1 || second.group.Timeline() == before.Timeline {
		t.Errorf("acted %d times, timeline %s", second.acted, second.group.Timeline())
	}

	first.reopen()
	first.start()
	first.fenced(rpc.ErrHistory)
	first.reopen()
	first.act = Overwrite
	replaced := second.group.Ledger().Committed
	faults := 0
	first.store.fault = func(call string, after bool) error { // the answer to the commit is lost once
		if call == "commit" && after && faults == 0 {
			faults++
			return errors.New("the link broke")
		}
		return nil
	}
	first.start()
	scribble(t, rnd, first.group.Volumes()[0], 10)
	first.settle()
	for _, v := range first.group.Volumes() {
		first.same(v)
	}
	if faults != 1 || first.acted != 1 {
		t.Errorf("%d faults, acted %d times", faults, first.acted)
	}
	if len(first.store.kept) == 0 || first.store.kept[0] != replaced {
		t.Errorf("kept are %v, replaced was %s", first.store.kept, replaced)
	}
	second.fenced(rpc.ErrStaleTerm)
}

// A gateway that dies around the commit which overwrites goes on after a restart, whether it was committed or not.
func TestOverwriteSurvivesARestart(t *testing.T) {
	for _, after := range []bool{false, true} {
		first := newRig(t)
		v := first.volume("v", 2<<20)
		rnd := rand.New(rand.NewPCG(4, 4))
		first.start()
		scribble(t, rnd, v, 10)
		first.settle()
		second := first.restored("second")
		second.start()
		scribble(t, rnd, second.group.Volumes()[0], 10)
		second.settle()
		first.fenced(rpc.ErrStaleTerm)

		first.reopen()
		first.act = Overwrite
		died := make(chan struct{})
		first.store.fault = func(call string, when bool) error {
			if call != "commit" || when != after {
				return nil
			}
			select {
			case <-died:
			default:
				close(died)
			}
			return errors.New("the link broke")
		}
		first.start()
		<-died
		first.store.mu.Lock()
		first.store.fault = nil
		first.store.mu.Unlock()
		first.reopen()
		first.start()
		scribble(t, rnd, first.group.Volumes()[0], 10)
		first.settle()
		first.same(first.group.Volumes()[0])
	}
}

// What comes damaged from the provider is not taken for the group's content.
func TestRestoreChecksWhatItGets(t *testing.T) {
	r := newRig(t)
	v := r.volume("v", 1<<20)
	r.start()
	if err := v.WriteAt([]byte{1, 2, 3, 511: 4}, 4096, false); err != nil {
		t.Fatal(err)
	}
	r.settle()
	_ = r.halt()
	r.store.mu.Lock()
	r.store.content[v.ID()][4096]++
	r.store.mu.Unlock()
	dir := t.TempDir() + "/x"
	opt := RestoreOptions{Group: r.group.ID(), Provider: r.store, Content: r.store, Gateway: ident.NewUUID(), Dir: dir}
	if _, err := Restore(t.Context(), opt); !errors.Is(err, intercept.ErrRestored) {
		t.Fatalf("restored with %v", err)
	}
	if _, err := intercept.Open(dir, intercept.Options{}); !errors.Is(err, intercept.ErrNotGroup) {
		t.Fatalf("the folder of a restore that failed opens with %v", err)
	}
	r.store.mu.Lock()
	r.store.content[v.ID()][4096]--
	r.store.mu.Unlock()
	if _, err := Restore(t.Context(), opt); err != nil {
		t.Fatalf("restored again: %v", err)
	}
}
