package intercept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
	"pgregory.net/rapid"
)

// stage is one step of a group's history: what the volumes held after it, and what a crash may leave in its middle.
type stage struct {
	after  contents
	middle []contents
}

// model runs random operations on a group, against what its volumes must hold.
type model struct {
	t       *rapid.T
	fs      *vfs.Mem
	group   *Group
	stages  []stage
	points  map[ident.Seq]contents // what the committed points hold
	past    []contents             // before the last crash; an epoch may end there
	flushed int                    // index of the stage that a power loss must keep
	fill    byte
}

const modelVolume = 12 << 10

func newModel(t *rapid.T) *model {
	m := &model{t: t, fs: vfs.NewMem(rapid.Uint64().Draw(t, "seed"))}
	g, err := Create(scenarioDir, scenarioOptions(m.fs))
	if err != nil {
		t.Fatal(err)
	}
	m.group = g
	first := make(contents)
	for _, name := range []string{"a", "b"} {
		if _, err := g.CreateVolume(VolumeSpec{Name: name, Size: modelVolume, BlockSize: 512}); err != nil {
			t.Fatal(err)
		}
		first[name] = make([]byte, modelVolume)
	}
	m.stages = []stage{{after: first}}
	m.points = map[ident.Seq]contents{0: {"a": make([]byte, modelVolume), "b": make([]byte, modelVolume)}}
	return m
}

func (m *model) now() contents { return m.stages[len(m.stages)-1].after }

func (m *model) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// draw makes a write of bytes that differ from those before.
func (m *model) draw() write {
	off := rapid.Int64Range(0, modelVolume-1).Draw(m.t, "off")
	n := rapid.Int64Range(1, min(modelVolume-off, 6000)).Draw(m.t, "n")
	w := write{volume: rapid.SampledFrom([]string{"a", "b"}).Draw(m.t, "volume"), off: off, n: n}
	if rapid.IntRange(0, 4).Draw(m.t, "zero") > 0 {
		m.fill = m.fill%255 + 1
		w.data = fill(m.fill, int(n))
	}
	return w
}

func (m *model) do(w write) error {
	v, err := m.group.Volume(w.volume)
	if err != nil {
		return err
	}
	if w.data == nil {
		return v.Trim(w.off, w.n, false)
	}
	return v.WriteAt(w.data, w.off, false)
}

// add ends a stage of writes that were done in some order, in whose middle a crash may have kept some of them.
func (m *model) add(after contents, writes []write) {
	m.stages = append(m.stages, stage{after: after, middle: orders(m.now(), writes, nil)})
}

// orders returns what base becomes by some of writes, in any order; those of must are among them.
func orders(base contents, writes []write, must []bool) []contents {
	var out []contents
	enough := true
	for _, b := range must {
		enough = enough && !b
	}
	if enough {
		out = append(out, base)
	}
	for i := range writes {
		next := base.clone()
		next.apply(writes[i])
		rest := append(append([]write(nil), writes[:i]...), writes[i+1:]...)
		var restMust []bool
		if must != nil {
			restMust = append(append([]bool(nil), must[:i]...), must[i+1:]...)
		}
		out = append(out, orders(next, rest, restMust)...)
	}
	return out
}

func (m *model) read() contents {
	c := make(contents)
	for _, v := range m.group.Volumes() {
		p := make([]byte, v.Size())
		m.check(v.ReadAt(p, 0))
		c[v.Name()] = p
	}
	return c
}

// one write, acknowledged.
func (m *model) one() {
	w := m.draw()
	after := m.now().clone()
	after.apply(w)
	m.check(m.do(w))
	m.add(after, []write{w})
}

// batch is several writes handed over together; their order is that of the slice.
func (m *model) batch() {
	var ops []target.WriteOp
	n := rapid.IntRange(1, 5).Draw(m.t, "ops")
	for range n {
		w := m.draw()
		if w.data == nil {
			w.data = make([]byte, w.n)
		}
		w.volume = "a"
		ops = append(ops, target.WriteOp{Data: w.data, Off: w.off})
	}
	v, err := m.group.Volume("a")
	m.check(err)
	v.WriteBatch(ops)
	for _, op := range ops {
		m.check(op.Err)
		w := write{"a", op.Off, int64(len(op.Data)), op.Data}
		after := m.now().clone()
		after.apply(w)
		m.add(after, []write{w})
	}
}

// together is writes in flight at once. What they amount to must be some order of them, and stays that.
func (m *model) together() {
	writes := make([]write, rapid.IntRange(2, 3).Draw(m.t, "writers"))
	for i := range writes {
		writes[i] = m.draw()
	}
	errs := m.inParallel(writes)
	m.check(errors.Join(errs...))
	got := m.read()
	all := make([]bool, len(writes))
	for i := range all {
		all[i] = true
	}
	m.among(got, orders(m.now(), writes, all), "concurrent writes")
	m.add(got, writes)
}

func (m *model) inParallel(writes []write) []error {
	errs := make([]error, len(writes))
	var wg sync.WaitGroup
	for i := range writes {
		wg.Go(func() { errs[i] = m.do(writes[i]) })
	}
	wg.Wait()
	return errs
}

// among fails the test unless got is one of want.
func (m *model) among(got contents, want []contents, what string) {
	m.t.Helper()
	for _, c := range want {
		if got.equal(c) {
			return
		}
	}
	m.t.Fatalf("%s: content is none of %d allowed ones", what, len(want))
}

func (m *model) flush() {
	m.check(m.group.Flush())
	m.flushed = len(m.stages) - 1
}

func (m *model) seal() {
	_, err := m.group.Seal(context.Background(), rapid.SampledFrom([]string{"", "", "point"}).Draw(m.t, "name"))
	m.check(err)
}

// ship takes the next epoch, if one waits, checks its new views and commits or returns it.
func (m *model) ship() {
	if p := m.group.Pending(); p.Epochs == 0 && !p.Overflow {
		return
	}
	m.shipOne(rapid.IntRange(0, 3).Draw(m.t, "return") == 0)
}

// shipOne takes one epoch, checks it, and commits it unless it is to be returned.
func (m *model) shipOne(back bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	e, err := m.group.Next(ctx)
	m.check(err)
	got := make(contents)
	for _, v := range e.Volumes() {
		p := make([]byte, v.Size)
		m.check(v.New.ReadAt(p, 0))
		got[v.Name] = p
		old := make([]byte, v.Size)
		m.check(v.Old.ReadAt(old, 0))
		if want := m.points[m.group.Ledger().Committed.End]; string(old) != string(want[v.Name]) {
			m.t.Fatalf("volume %s: old view is not the last committed point", v.Name)
		}
		for _, x := range v.Extents {
			copy(old[x.Off:x.Off+x.Len], p[x.Off:])
		}
		if string(old) != string(p) {
			m.t.Fatalf("volume %s differs from the last point outside the extents", v.Name)
		}
	}
	all := slices.Clone(m.past)
	for _, s := range m.stages {
		all = append(all, s.after)
	}
	m.among(got, all, fmt.Sprintf("epoch that ends at %d", e.End()))
	if back {
		m.group.Return(e)
		return
	}
	m.points[e.End()] = got
	p := ident.Point{Group: m.group.ID(), Timeline: m.group.Timeline(), End: e.End()}
	m.check(m.group.MarkSent(e, p))
	m.check(m.group.Committed(e, p, nil))
	e.Release()
}

// reopen closes and opens the group in good order.
func (m *model) reopen() {
	m.check(m.group.Close())
	m.open()
	if !m.read().equal(m.now()) {
		m.t.Fatal("content differs after a restart")
	}
	m.flushed = len(m.stages) - 1
}

func (m *model) open() {
	m.t.Helper()
	g, err := Open(scenarioDir, scenarioOptions(m.fs))
	m.check(err)
	m.group = g
}

// crash ends the process, or the power too, while writes are in flight, and recovers.
func (m *model) crash() {
	writes := make([]write, rapid.IntRange(0, 3).Draw(m.t, "writers"))
	for i := range writes {
		writes[i] = m.draw()
	}
	at := m.fs.Ops() + rapid.IntRange(1, 8).Draw(m.t, "at")
	m.fs.SetHook(func(op vfs.Op) error {
		if op.Number >= at {
			return vfs.ErrPowerLost
		}
		return nil
	})
	acked := make([]bool, len(writes))
	for i, err := range m.inParallel(writes) {
		acked[i] = err == nil
	}
	m.fs.PowerOff()
	_ = m.group.Close()
	kill := rapid.Bool().Draw(m.t, "kill")
	allowed := orders(m.now(), writes, acked)
	if kill {
		m.fs = m.fs.AfterKill()
	} else {
		m.fs = m.fs.AfterPowerLoss()
		allowed = orders(m.now(), writes, nil)
		for i := m.flushed; i < len(m.stages); i++ {
			allowed = append(allowed, m.stages[i].after)
			if i > m.flushed {
				allowed = append(allowed, m.stages[i].middle...)
			}
		}
	}
	m.open()
	got := m.read()
	m.among(got, allowed, fmt.Sprintf("crash (kill %v)", kill))
	for _, s := range m.stages {
		m.past = append(m.past, s.after)
	}
	m.stages = []stage{{after: got}}
	m.flushed = 0
}

// Random operations on a group, with crashes and restarts among them, against a model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt)
		defer func() { _ = m.group.Close() }()
		actions := map[string]func(*rapid.T){"": func(*rapid.T) {
			if !m.read().equal(m.now()) {
				rt.Fatal("content differs from the model")
			}
		}}
		for name, fn := range map[string]func(){"write": m.one, "batch": m.batch, "together": m.together, "flush": m.flush,
			"seal": m.seal, "ship": m.ship, "reopen": m.reopen, "crash": m.crash, "local": m.local} {
			actions[name] = func(st *rapid.T) {
				m.t = st
				fn()
			}
		}
		rt.Repeat(actions)
	})
}

// local turns replication off or on: what is sealed while it is off is destaged without a commit.
func (m *model) local() {
	m.group.SetReplication(!m.group.replicating.Load())
}
