package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/target"
)

// memGroup is a new group on a file system in memory.
func memGroup(t *testing.T) (*Group, *vfs.Mem) {
	t.Helper()
	m := vfs.NewMem(rand.Uint64())
	g, err := Create(scenarioDir, scenarioOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	return g, m
}

func mustWrite(t *testing.T, v *Volume, off int64, p []byte) {
	t.Helper()
	if err := v.WriteAt(p, off, false); err != nil {
		t.Fatal(err)
	}
}

func fill(id byte, n int) []byte { return bytes.Repeat([]byte{id}, n) }

func expect(t *testing.T, what string, r View, off int64, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := r.ReadAt(got, off); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	same(t, what, got, want)
}

// baseWrites counts the writes to base files.
type baseWrites struct {
	sync.Mutex
	n int
}

func (b *baseWrites) hook(op vfs.Op) error {
	if op.Name == "write" && strings.HasSuffix(op.Path, rawSuffix) {
		b.Lock()
		b.n++
		b.Unlock()
	}
	return nil
}

func (b *baseWrites) count() int {
	b.Lock()
	defer b.Unlock()
	return b.n
}

// An epoch that is committed stays out of the base while its old view is in use; and a later epoch's views are right
// while it is half destaged.
func TestViewsWhileDestaging(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	var writes baseWrites
	mustWrite(t, v, 0, fill(9, 12_000))
	zero := seal(t, g, "")
	commit(t, g, next(t, g))
	awaitDestaged(t, g, zero)
	m.SetHook(writes.hook)
	mustWrite(t, v, 1000, fill(1, 9000))
	seal(t, g, "")
	one := next(t, g)
	p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: one.End()}
	if err := errors.Join(g.MarkSent(one, p), g.Committed(one, p, nil)); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, v, 5000, fill(2, 1000))
	seal(t, g, "")
	two := next(t, g)
	for range 500 {
		runtime.Gosched()
		expect(t, "old view of the first epoch", one.Volumes()[0].Old, 0, fill(9, 12_000))
		expect(t, "old view of the second epoch", two.Volumes()[0].Old, 5000, fill(1, 1000))
		expect(t, "new view of the second epoch", two.Volumes()[0].New, 4999, append([]byte{1}, fill(2, 1000)...))
	}
	if n := writes.count(); n != 0 {
		t.Fatalf("%d writes to the base under a view that needs what was there", n)
	}
	one.Release()
	if err := one.Volumes()[0].New.ReadAt(make([]byte, 1), 0); !errors.Is(err, target.ErrClosed) {
		t.Fatalf("view after release: %v", err)
	}
	awaitDestaged(t, g, p.End)
	expect(t, "old view of the second epoch", two.Volumes()[0].Old, 5000, fill(1, 1000))
	expect(t, "new view of the second epoch", two.Volumes()[0].New, 4999, append([]byte{1}, fill(2, 1000)...))
	commit(t, g, two)
	awaitDestaged(t, g, two.End())
	expect(t, "volume", v, 4999, append([]byte{1}, fill(2, 1000)...))
	closeGroup(t, g)
}

// A segment is not used again while a reader may still read it.
func TestSegmentUnderReader(t *testing.T) {
	g, _ := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	g.SetReplication(false)
	mustWrite(t, v, 0, fill(1, 8000))
	st := g.stacks.pin() // a reader that takes its time
	first := g.log.Segment(st.layers[0].start)
	for round := range 30 {
		if err := v.WriteAt(fill(byte(round+2), 8000), 10_000, false); errors.Is(err, target.ErrNoSpace) {
			break // the reader keeps the log from being recycled
		} else if err != nil {
			t.Fatal(err)
		}
		seal(t, g, "")
	}
	p := make([]byte, 8000)
	if err := g.readThrough(st, v.base, p, 0, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "what the reader pinned", p, fill(1, 8000))
	g.stacks.unpin(st)
	awaitDestaged(t, g, seal(t, g, "last"))
	for i := 0; g.log.Segment(g.log.Tail()) < first+20; i++ { // now they are
		mustWrite(t, v, 0, fill(byte(i), 8000))
		seal(t, g, "")
	}
	closeGroup(t, g)
}

// Sealed epochs merge while they wait, but not across a named point.
func TestMerging(t *testing.T) {
	g, _ := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	var ends []ident.Seq
	for i, name := range []string{"", "", "monday", "", ""} {
		mustWrite(t, v, int64(i)*1000, fill(byte(i+1), 1500))
		ends = append(ends, seal(t, g, name))
	}
	if p := g.Pending(); p.Epochs != 3 || p.Bytes != 7500 || p.EpochsSealed != 5 {
		t.Errorf("pending %+v", p)
	}
	e := next(t, g)
	if e.First() != 1 || e.End() != ends[2] || e.Name() != "monday" {
		t.Fatalf("first epoch is %d to %d, %q", e.First(), e.End(), e.Name())
	}
	if _, err := g.Next(context.Background()); !errors.Is(err, ErrOutstanding) {
		t.Fatalf("a second epoch: %v", err)
	}
	vol := e.Volumes()[0]
	var at int64
	for _, x := range vol.Extents {
		if x.Off != at {
			t.Fatalf("extents %+v", vol.Extents)
		}
		at += x.Len
	}
	if at != 3500 || vol.HostBytes != 4500 || !vol.Created {
		t.Fatalf("extents end at %d, host bytes %d, created %v", at, vol.HostBytes, vol.Created)
	}
	g.Return(e)
	mustWrite(t, v, 9000, fill(9, 10))
	e = next(t, g)
	if e.End() != ends[2] {
		t.Fatalf("returned epoch ends at %d now", e.End())
	}
	commit(t, g, e)
	e = next(t, g)
	if e.First() != ends[2]+1 || e.End() != ends[4] || e.Volumes()[0].Created {
		t.Fatalf("second epoch is %d to %d", e.First(), e.End())
	}
	commit(t, g, e)
	if end := seal(t, g, ""); end <= ends[4] {
		t.Fatalf("the last write was not sealed")
	}
	if a, b := seal(t, g, ""), seal(t, g, ""); a != b {
		t.Fatalf("empty epochs end at %d and %d", a, b)
	}
	closeGroup(t, g)
}

// What was sent stays frozen over a restart until it is resolved, either way.
func TestSentSurvivesRestart(t *testing.T) {
	for _, committed := range []bool{false, true} {
		g, m := memGroup(t)
		v := mustCreateVolume(t, g, "v", 64<<10)
		mustWrite(t, v, 0, fill(1, 5000))
		seal(t, g, "")
		mustWrite(t, v, 1000, fill(2, 5000))
		seal(t, g, "")
		e := next(t, g)
		p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}
		if err := g.MarkSent(e, p); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, v, 2000, fill(3, 100))
		seal(t, g, "")
		e.Release()
		_ = g.Close()
		g, err := Open(scenarioDir, scenarioOptions(m.AfterKill()))
		if err != nil {
			t.Fatal(err)
		}
		if l := g.Ledger(); l.Sent == nil || *l.Sent != p || !l.Committed.IsZero() {
			t.Fatalf("ledger %+v", l)
		}
		if _, err := g.Next(context.Background()); !errors.Is(err, ErrUnresolved) {
			t.Fatalf("next: %v", err)
		}
		states := map[ident.VolumeID]leaf.State{g.Volumes()[0].ID(): {Lo: 5}}
		if err := g.ResolveSent(committed, states); err != nil {
			t.Fatal(err)
		}
		e = next(t, g)
		want := ident.Seq(1)
		if committed {
			want = p.End + 1
			expect(t, "old view", e.Volumes()[0].Old, 900, append(fill(1, 100), fill(2, 5000)...))
			if l := g.Ledger(); l.Sent != nil || l.Committed != p || l.States[g.Volumes()[0].ID()].Lo != 5 {
				t.Fatalf("ledger %+v", l)
			}
		}
		if e.First() != want {
			t.Fatalf("committed %v: next epoch begins with %d", committed, e.First())
		}
		commit(t, g, e)
		if err := g.ResolveSent(true, nil); !errors.Is(err, ErrArgument) {
			t.Fatalf("resolving nothing: %v", err)
		}
		closeGroup(t, g)
	}
}

// Old and new views have the sizes of their points, through creation, growth and deletion.
func TestVolumesInEpochs(t *testing.T) {
	g, m := memGroup(t)
	a := mustCreateVolume(t, g, "a", 4096+512)
	mustWrite(t, a, 4096, fill(1, 512))
	seal(t, g, "")
	commit(t, g, next(t, g))
	if err := a.Resize(16384); err != nil {
		t.Fatal(err)
	}
	if err := a.Resize(4096); !errors.Is(err, ErrArgument) {
		t.Fatalf("shrinking: %v", err)
	}
	mustWrite(t, a, 8192, fill(2, 4096))
	b := mustCreateVolume(t, g, "b", 8192)
	if _, err := g.CreateVolume(VolumeSpec{Name: "b", Size: 4096}); !errors.Is(err, ErrExists) {
		t.Fatalf("the same name: %v", err)
	}
	mustWrite(t, b, 0, fill(3, 100))
	seal(t, g, "")
	if err := g.DeleteVolume("b"); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteAt([]byte{1}, 0, false); !errors.Is(err, target.ErrClosed) {
		t.Fatalf("write to a deleted volume: %v", err)
	}
	if _, err := g.Volume("b"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("deleted volume: %v", err)
	}
	_ = g.Close()
	g, err := Open(scenarioDir, scenarioOptions(m.AfterKill()))
	if err != nil {
		t.Fatal(err)
	}
	e := next(t, g)
	vols := e.Volumes()
	if len(vols) != 2 || vols[0].Size != 16384 || vols[1].Name != "b" || !vols[1].Created || vols[0].Created {
		t.Fatalf("volumes %+v", vols)
	}
	expect(t, "a before", vols[0].Old, 4000, append(append(make([]byte, 96), fill(1, 512)...), make([]byte, 20_000)...))
	expect(t, "a after", vols[0].New, 8192, append(fill(2, 4096), make([]byte, 8192)...))
	expect(t, "b after", vols[1].New, 0, append(fill(3, 100), make([]byte, 10_000)...))
	commit(t, g, e)
	seal(t, g, "")
	e = next(t, g)
	if len(e.Volumes()) != 1 {
		t.Fatalf("volumes after deletion %+v", e.Volumes())
	}
	commit(t, g, e)
	awaitDestaged(t, g, e.End())
	closeGroup(t, g)
	names, err := m.AfterKill().List(scenarioDir)
	if err != nil {
		t.Fatal(err)
	}
	_ = names
	g, err = Open(scenarioDir, scenarioOptions(g.opt.FS.(*vfs.Mem)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.volumes.bases); n != 1 {
		t.Fatalf("%d bases, want 1", n)
	}
	if names, err = g.opt.FS.List(scenarioDir); err != nil || strings.Count(strings.Join(names, " "), basePrefix) != 2 {
		t.Fatalf("files %v, %v", names, err)
	}
	closeGroup(t, g)
}

// A changed byte of the base, of its leaf table or of the log is an error with its place, never content.
func TestDamageIsNotReturned(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	g.SetReplication(false)
	mustWrite(t, v, 0, fill(1, 30_000))
	awaitDestaged(t, g, seal(t, g, ""))
	raw, leaves := baseNames(scenarioDir, v.id)
	for name, off := range map[string]int64{raw: 9000, leaves: leaf.TableHeaderBytes + 2*leaf.EntryBytes} {
		if err := m.Corrupt(name, off, 4); err != nil {
			t.Fatal(err)
		}
		var medium *target.MediumError
		if err := v.ReadAt(make([]byte, 30_000), 0); !errors.As(err, &medium) || medium.Off != 8192 || medium.Len != 4096 ||
			!errors.Is(err, target.ErrIO) {
			t.Fatalf("%s: %v", name, err)
		}
		expect(t, "beside it", v, 12288, fill(1, 10_000))
		if err := m.Corrupt(name, off, 4); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, v, 40_000, fill(2, 8192))
	layers := g.stacks.current.Load().layers
	e := layers[len(layers)-1].volume(v.number).get().Append(nil, 40_000, 40_001)[0]
	segment := g.log.Segment(e.Pos)
	name := ""
	for _, s := range mustList(t, m) {
		b := readFile(t, m, filepath.Join(scenarioDir, s))
		if strings.HasSuffix(s, ".seg") && bytes.Contains(b, fill(2, 8000)) {
			name = filepath.Join(scenarioDir, s)
		}
	}
	off := int64(uint64(e.Pos)%uint64(64<<10)) + 200
	if err := m.Corrupt(name, off, 4); err != nil {
		t.Fatal(err)
	}
	var medium *target.MediumError
	if err := v.ReadAt(make([]byte, 100), 40_000); !errors.As(err, &medium) {
		t.Fatalf("log segment %d, %s: %v", segment, name, err)
	}
	_ = g.Close()
}

func mustList(t *testing.T, m *vfs.Mem) []string {
	t.Helper()
	names, err := m.List(scenarioDir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func readFile(t *testing.T, m *vfs.Mem, name string) []byte {
	t.Helper()
	f, err := m.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if err := readFull(f, b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// A damaged block that is partly overwritten stays damaged, over a restart too, until all of it is written anew.
func TestDamageIsNotBlessed(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	g.SetReplication(false)
	mustWrite(t, v, 0, fill(1, 20_000))
	awaitDestaged(t, g, seal(t, g, ""))
	raw, _ := baseNames(scenarioDir, v.id)
	if err := m.Corrupt(raw, 9000, 4); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, v, 10_000, fill(2, 10_000))
	awaitDestaged(t, g, seal(t, g, ""))
	closeGroup(t, g)
	g, err := Open(scenarioDir, scenarioOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	g.SetReplication(false)
	v = volume(t, g, "v")
	var medium *target.MediumError
	if err := v.ReadAt(make([]byte, 100), 11_000); !errors.As(err, &medium) || medium.Off != 8192 {
		t.Fatalf("partly overwritten: %v", err)
	}
	expect(t, "beside it", v, 12_288, fill(2, 7712))
	mustWrite(t, v, 8192, fill(3, 4096))
	awaitDestaged(t, g, seal(t, g, ""))
	expect(t, "wholly overwritten", v, 8000, append(append(fill(1, 192), fill(3, 4096)...), fill(2, 1000)...))
	closeGroup(t, g)
}

// A folder is open once at a time; one without a group is refused by name, and so is a damaged one.
func TestOpenRefuses(t *testing.T) {
	g, dir := create(t, testOptions())
	if _, err := Open(dir, testOptions()); !errors.Is(err, ErrInUse) {
		t.Errorf("open twice: %v", err)
	}
	closeGroup(t, g)
	if _, err := Open(t.TempDir(), testOptions()); !errors.Is(err, ErrNotGroup) {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "no"), testOptions()); !errors.Is(err, ErrNotGroup) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Create(t.TempDir(), Options{SegmentBytes: 5000}); !errors.Is(err, ErrArgument) {
		t.Errorf("segment length: %v", err)
	}
	var out strings.Builder
	if err := Dump(&out, dir); err != nil || !strings.Contains(out.String(), "slot 1: generation 1") ||
		!strings.Contains(out.String(), "segment 1 of group") {
		t.Errorf("dump: %v\n%s", err, out.String())
	}
}

// Arguments that make no sense are refused and change nothing.
func TestArguments(t *testing.T) {
	g, _ := memGroup(t)
	for _, s := range []VolumeSpec{{}, {Name: "a"}, {Name: "a", Size: 100}, {Name: "a", Size: 4096, BlockSize: 7},
		{Name: strings.Repeat("a", 256), Size: 4096}, {Name: "a/b", Size: 4096}, {Name: "a", Size: -4096}} {
		if _, err := g.CreateVolume(s); !errors.Is(err, ErrArgument) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	v := mustCreateVolume(t, g, "v", 8192)
	p := make([]byte, 4096)
	for name, err := range map[string]error{
		"write": v.WriteAt(p, 4097, false), "read": v.ReadAt(p, 4097), "negative": v.ReadAt(p, -1),
		"trim": v.Trim(0, 8193, false), "zeroes": v.WriteZeroes(8192, 1, 0), "huge": v.Trim(1<<62, 1<<62, false),
	} {
		if !errors.Is(err, target.ErrOutOfRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ops := []target.WriteOp{{Data: p, Off: 8000}, {Data: fill(1, 10), Off: 5}}
	v.WriteBatch(ops)
	if !errors.Is(ops[0].Err, target.ErrOutOfRange) || ops[1].Err != nil {
		t.Errorf("batch: %v and %v", ops[0].Err, ops[1].Err)
	}
	expect(t, "volume", v, 0, append(append(make([]byte, 5), fill(1, 10)...), make([]byte, 100)...))
	if _, err := g.Seal(context.Background(), strings.Repeat("x", 300)); !errors.Is(err, ErrArgument) {
		t.Errorf("long name: %v", err)
	}
	if err := errors.Join(v.WriteAt(nil, 0, true), v.Trim(5, 0, true), v.ReadAt(nil, 8192)); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	closeGroup(t, g)
}

// A fenced group reads but does not write.
func TestFence(t *testing.T) {
	g, _ := memGroup(t)
	v := mustCreateVolume(t, g, "v", 8192)
	mustWrite(t, v, 0, fill(1, 10))
	g.Fence(fmt.Errorf("term 4 is over"))
	for name, err := range map[string]error{"write": v.WriteAt(fill(2, 10), 0, false), "flush": v.Flush(),
		"trim": v.Trim(0, 10, false), "group": g.Err()} {
		if !errors.Is(err, target.ErrFenced) || !strings.Contains(err.Error(), "term 4") {
			t.Errorf("%s: %v", name, err)
		}
	}
	expect(t, "volume", v, 0, fill(1, 10))
	if err := g.Close(); !errors.Is(err, target.ErrFenced) {
		t.Errorf("close: %v", err)
	}
}

// take returns the content of a view.
func take(t *testing.T, v View, size int64) []byte {
	t.Helper()
	p := make([]byte, size)
	if err := v.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// nextWhenIdle takes an epoch when the destager is at nothing, so that the epoch goes to the end of what is sealed.
func nextWhenIdle(t *testing.T, g *Group) *Epoch {
	t.Helper()
	for {
		g.stacks.Lock()
		changed, busy := g.stacks.changed, g.stacks.current.Load().layers[0].busy
		g.stacks.Unlock()
		if !busy {
			return next(t, g)
		}
		<-changed
	}
}

// When the log runs full before a commit, the host goes on: epochs are destaged, and the last point, the epoch that is
// out, and a named point on the way stay what they are until they are committed; over a crash too.
func TestOverflow(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 60<<10)
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	flood := func() {
		t.Helper()
		for range 60 { // 360 KiB and more, of a log of 384 KiB
			n := 4000 + rng.Int64N(4000)
			mustWrite(t, v, rng.Int64N(v.Size()-n), fill(byte(1+rng.IntN(255)), int(n)))
		}
	}
	flood()
	seal(t, g, "")
	e := next(t, g)
	point := take(t, e.Volumes()[0].New, v.Size()) // it was never committed before: nothing is kept for that
	same(t, "old view of the first epoch", take(t, e.Volumes()[0].Old, v.Size()), make([]byte, v.Size()))
	commit(t, g, e)

	for round := range 3 {
		flood()
		flood()
		seal(t, g, "")
		sealed := content(t, v)
		if p := g.Pending(); !p.Overflow || p.LogUsed > p.LogBudget {
			t.Fatalf("round %d: pending %+v", round, p)
		}
		e := nextWhenIdle(t, g)
		flood()
		flood()
		vol := e.Volumes()[0]
		same(t, "old view", take(t, vol.Old, v.Size()), point)
		same(t, "new view", take(t, vol.New, v.Size()), sealed)
		for _, x := range vol.Extents {
			copy(point[x.Off:x.Off+x.Len], sealed[x.Off:])
		}
		same(t, "old view and extents", point, sealed)
		switch round {
		case 0: // not sent after all: what the next epoch begins with stays what it was
			point = take(t, vol.Old, v.Size())
			g.Return(e)
			continue
		case 1:
			commit(t, g, e)
		case 2: // the process dies before it hears of the commit
			p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}
			if err := g.MarkSent(e, p); err != nil {
				t.Fatal(err)
			}
			flood()
			e.Release()
			now := content(t, v)
			_ = g.Close()
			m = m.AfterKill()
			var err error
			if g, err = Open(scenarioDir, scenarioOptions(m)); err != nil {
				t.Fatal(err)
			}
			v = volume(t, g, "v")
			same(t, "volume after a restart", content(t, v), now)
			if err := g.ResolveSent(true, nil); err != nil {
				t.Fatal(err)
			}
		}
		point = sealed
	}

	flood()
	seal(t, g, "monday")
	monday := content(t, v)
	flood()
	flood()
	seal(t, g, "")
	e = next(t, g)
	if e.Name() != "monday" {
		t.Fatalf("epoch %q", e.Name())
	}
	same(t, "old view", take(t, e.Volumes()[0].Old, v.Size()), point)
	same(t, "named point", take(t, e.Volumes()[0].New, v.Size()), monday)
	commit(t, g, e)
	e = nextWhenIdle(t, g)
	same(t, "old view behind the named point", take(t, e.Volumes()[0].Old, v.Size()), monday)
	same(t, "newest", take(t, e.Volumes()[0].New, v.Size()), content(t, v))
	commit(t, g, e)
	awaitDestaged(t, g, e.End())
	if p := g.Pending(); p.Overflow || p.Epochs != 0 {
		t.Fatalf("pending %+v", p)
	}
	files := 0
	for _, s := range *g.shadows.chain.Load() {
		if s.end < e.End() {
			t.Errorf("shadow of %d is left, %d is committed", s.end, e.End())
		}
		files += 2 * len(s.files)
	}
	for _, name := range mustList(t, m) {
		if strings.HasPrefix(name, shadowPrefix) {
			files--
		}
	}
	if files < 0 {
		t.Errorf("%d files of shadows are left", -files)
	}
	closeGroup(t, g)
}

// syncBuffer takes what is logged.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A full disk is survived: no further segment means back-pressure, and it goes on when there is room again.
func TestDiskFull(t *testing.T) {
	m := vfs.NewMem(rand.Uint64())
	var lines syncBuffer
	opt := scenarioOptions(m)
	opt.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	g, err := Create(scenarioDir, opt)
	if err != nil {
		t.Fatal(err)
	}
	v := mustCreateVolume(t, g, "v", 64<<10)
	var mu sync.Mutex
	full := true
	m.SetHook(func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if full && (op.Name == "allocate" || op.Name == "write" && strings.HasSuffix(op.Path, rawSuffix)) {
			return syscall.ENOSPC
		}
		return nil
	})
	g.SetReplication(false)
	for i := 0; err == nil; i++ {
		err = v.WriteAt(fill(byte(i), 8000), 0, false)
	}
	if !errors.Is(err, target.ErrNoSpace) || g.Err() != nil {
		t.Fatalf("%v; latched: %v", err, g.Err())
	}
	if p := g.Pending(); p.NoSpace == "" || p.FullSince.IsZero() {
		t.Errorf("pending says nothing of a full disk: %+v", p)
	}
	mu.Lock()
	full = false
	mu.Unlock()
	for range 100 {
		if err = v.WriteAt(fill(99, 8000), 0, false); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatalf("with room again: %v", err)
	}
	expect(t, "volume", v, 0, fill(99, 8000))
	awaitDestaged(t, g, seal(t, g, ""))
	mustWrite(t, v, 0, fill(98, 8000))
	if p := g.Pending(); p.NoSpace != "" || !p.FullSince.IsZero() {
		t.Errorf("pending after there was room again: %+v", p)
	}
	if n := strings.Count(lines.String(), "\n"); n > 8 {
		t.Errorf("%d lines in the log:\n%s", n, lines.String())
	}
	closeGroup(t, g)
}

// Extents cover the range exactly, call nothing a hole that is not, and see holes in layers and base.
func TestExtents(t *testing.T) {
	g, _ := memGroup(t)
	g.SetReplication(false)
	v := mustCreateVolume(t, g, "v", 64<<10)
	mustWrite(t, v, 8192, fill(1, 8192))
	awaitDestaged(t, g, seal(t, g, ""))
	mustWrite(t, v, 20_000, fill(2, 1000))
	if err := v.Trim(9000, 1000, false); err != nil {
		t.Fatal(err)
	}
	got, err := v.Extents(100, 60_000)
	if err != nil {
		t.Fatal(err)
	}
	want := []target.Extent{{Off: 100, Len: 8092, Kind: target.Hole}, {Off: 8192, Len: 808}, {Off: 9000, Len: 1000, Kind: target.Hole},
		{Off: 10_000, Len: 6384}, {Off: 16_384, Len: 3616, Kind: target.Hole}, {Off: 20_000, Len: 1000},
		{Off: 21_000, Len: 39_100, Kind: target.Hole}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	closeGroup(t, g)
}
