package intercept

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// scenario runs a fixed course on a file system until it is through or something fails: create, append, flush, batch,
// seal, commit, destage, recycle, resize, delete, reopen.
type scenario struct {
	t   *testing.T
	fs  *vfs.Mem
	rng *rand.Rand
	h   history

	group     *Group
	created   bool              // Create has returned
	committed ident.Point       // Committed has returned for it
	sent      ident.Point       // MarkSent has returned for it, Committed has not
	sentAt    int               // writes in it at least
	local     bool              // most of the time without replication: epochs are destaged as they are sealed
	points    map[ident.Seq]int // writes at the end of each sealed epoch
	step      string
	stopped   chan struct{} // closed when the fault fires
	fault     error
}

const scenarioDir = "/data/group"

func scenarioOptions(m *vfs.Mem) Options {
	return Options{FS: m, LogBudget: 6 * 64 << 10, SegmentBytes: 64 << 10, SpaceWait: 500 * time.Millisecond,
		retry: 10 * time.Millisecond, foreground: true}
}

// pattern makes n bytes that no other call makes.
func (s *scenario) pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(1 + s.rng.IntN(255))
	}
	return p
}

// run returns the error that ended the course.
func (s *scenario) run() (err error) {
	defer func() {
		if s.group != nil {
			_ = s.group.Close()
			s.group = nil
		}
	}()
	s.step = "create"
	if s.group, err = Create(scenarioDir, scenarioOptions(s.fs)); err != nil {
		return err
	}
	s.created = true
	s.group.SetReplication(!s.local)
	a, err := s.group.CreateVolume(VolumeSpec{Name: "a", Size: 40 << 10, BlockSize: 512})
	if err != nil {
		return err
	}
	b, err := s.group.CreateVolume(VolumeSpec{Name: "b", Size: 32<<10 + 512, BlockSize: 512})
	if err != nil {
		return err
	}
	for round := range 6 {
		s.step = fmt.Sprintf("round %d: write", round)
		if err := s.writes(a, b); err != nil {
			return err
		}
		if round == 1 {
			s.step = "resize"
			if err := b.Resize(40 << 10); err != nil {
				return err
			}
		}
		s.step = fmt.Sprintf("round %d: seal", round)
		if err := s.seal(map[int]string{2: "named"}[round]); err != nil {
			return err
		}
		if round%2 == 1 {
			s.step = fmt.Sprintf("round %d: commit", round)
			if err := s.commit(); err != nil {
				return err
			}
		}
		if round == 3 {
			s.step = "reopen"
			err := s.group.Close()
			s.group = nil
			if err != nil {
				return err
			}
			if s.group, err = Open(scenarioDir, scenarioOptions(s.fs)); err != nil {
				return err
			}
			s.group.SetReplication(!s.local)
			if a, err = s.group.Volume("a"); err != nil {
				return err
			}
			if b, err = s.group.Volume("b"); err != nil {
				return err
			}
		}
	}
	s.step = "delete"
	c, err := s.group.CreateVolume(VolumeSpec{Name: "c", Size: 8 << 10})
	if err != nil {
		return err
	}
	if err := s.h.put(c, 7, s.pattern(100), false); err != nil {
		return err
	}
	if err := s.group.DeleteVolume("c"); err != nil {
		return err
	}
	if err := s.seal(""); err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	s.step = "close"
	err = s.group.Close()
	s.group = nil
	return err
}

func (s *scenario) seal(name string) error {
	end, err := s.group.Seal(context.Background(), name)
	if err == nil {
		s.points[end] = len(s.h.writes)
	}
	return err
}

// writes does a round of writes to both volumes, enough to use up a segment now and then.
func (s *scenario) writes(a, b *Volume) error {
	for i := range 6 {
		v := []*Volume{a, b}[i%2]
		n := 1 + s.rng.IntN(9000)
		if err := s.h.put(v, s.rng.Int64N(v.Size()-int64(n)), s.pattern(n), i == 2); err != nil {
			return err
		}
	}
	if err := s.h.batch(a, []int64{0, 5000, 4096}, [][]byte{s.pattern(4096), s.pattern(512), s.pattern(1500)}); err != nil {
		return err
	}
	if err := s.h.flush(a.Flush); err != nil {
		return err
	}
	if err := s.h.zero(b, 1000, 6000, true); err != nil {
		return err
	}
	if err := s.h.put(b, 4096, make([]byte, 8192), false); err != nil {
		return err
	}
	return s.h.put(a, 20_000, s.pattern(3000), false)
}

// commit takes the next epoch through to its commit and waits until it is in the base.
func (s *scenario) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if s.local {
		if err := s.destaged(ctx, s.lastSeal()); err != nil || s.rng.IntN(2) == 0 {
			return err
		}
		s.group.SetReplication(true) // now and then it catches up
		defer s.group.SetReplication(false)
	}
	e, err := s.group.Next(ctx)
	if err != nil {
		return err
	}
	defer e.Release()
	p := ident.Point{Group: s.group.ID(), Timeline: s.group.Timeline(), End: e.End()}
	if err := readAll(e); err != nil {
		return err
	}
	s.sent, s.sentAt = p, s.h.acked
	if e.End() != s.lastSeal() {
		s.sentAt = 0 // more was sealed behind it
	}
	if err := s.group.MarkSent(e, p); err != nil {
		s.sent = ident.Point{}
		return err
	}
	if err := s.group.Committed(e, p, nil); err != nil {
		return err
	}
	s.committed, s.sent = p, ident.Point{}
	s.h.flushed = max(s.h.flushed, s.sentAt)
	e.Release()
	return s.destaged(ctx, p.End)
}

// destaged waits until the base holds everything up to seq.
func (s *scenario) destaged(ctx context.Context, seq ident.Seq) error {
	for {
		s.group.stacks.Lock()
		changed, first := s.group.stacks.changed, s.group.stacks.current.Load().layers[0].first
		s.group.stacks.Unlock()
		if first > seq {
			return nil
		}
		if err := s.group.Err(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-s.stopped:
			return s.fault
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *scenario) lastSeal() ident.Seq {
	s.group.sealing.Lock()
	defer s.group.sealing.Unlock()
	return s.group.sealed
}

// readAll reads what a packager would.
func readAll(e *Epoch) error {
	for _, v := range e.Volumes() {
		for _, x := range v.Extents {
			p := make([]byte, x.Len)
			if err := v.Old.ReadAt(p, x.Off); err != nil {
				return err
			}
			if err := v.New.ReadAt(p, x.Off); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify opens the group on m and checks what it holds; least is the number of writes that must be there.
func (s *scenario) verify(m *vfs.Mem, least int, what string) {
	t := s.t
	t.Helper()
	g, err := Open(scenarioDir, scenarioOptions(m))
	if !s.created && errors.Is(err, ErrNotGroup) {
		return
	}
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Fatalf("%s: close: %v", what, err)
		}
	}()
	n := s.h.prefix(t, g, least, what)
	s.checkOld(g, what)
	ledger := g.Ledger()
	switch {
	case ledger.Committed == s.committed && ledger.Sent == nil && s.sent.IsZero():
	case ledger.Committed == s.committed && ledger.Sent != nil && (s.sent.IsZero() || *ledger.Sent == s.sent):
	case ledger.Committed.End > s.committed.End && ledger.Sent == nil: // Committed was under way
	default:
		t.Fatalf("%s: ledger %+v, want committed %v and sent %v", what, ledger, s.committed, s.sent)
	}
	s.goOn(g, n, what)
}

// checkOld checks that the next epoch begins with the state at the last committed point.
func (s *scenario) checkOld(g *Group, what string) {
	t := s.t
	t.Helper()
	if g.Ledger().Sent != nil {
		return
	}
	if _, err := g.Seal(context.Background(), ""); err != nil {
		t.Fatalf("%s: seal: %v", what, err)
	}
	if p := g.Pending(); p.Epochs == 0 && !p.Overflow {
		return
	}
	writes, ok := s.points[g.Ledger().Committed.End]
	if !ok {
		t.Fatalf("%s: committed at %d, which was never sealed", what, g.Ledger().Committed.End)
	}
	e := next(t, g)
	defer g.Return(e)
	want := make(contents)
	for _, v := range e.Volumes() {
		want[v.Name] = make([]byte, v.Size)
	}
	for _, w := range s.h.writes[:writes] {
		want.apply(w)
	}
	for _, v := range e.Volumes() {
		old, now := make([]byte, v.Size), make([]byte, v.Size)
		if err := errors.Join(v.Old.ReadAt(old, 0), v.New.ReadAt(now, 0)); err != nil {
			t.Fatalf("%s: view of %s: %v", what, v.Name, err)
		}
		same(t, what+": old view of "+v.Name, old, want[v.Name])
		for _, x := range v.Extents {
			copy(old[x.Off:x.Off+x.Len], now[x.Off:])
		}
		same(t, what+": old view and extents of "+v.Name, old, now)
	}
}

// goOn checks that a recovered group works. The history becomes what the group holds then, so that a later verify sees
// whether what had been cut off comes back.
func (s *scenario) goOn(g *Group, n int, what string) {
	t := s.t
	t.Helper()
	v, err := g.Volume("a")
	if err != nil {
		return // the crash came before the volume
	}
	s.h = history{writes: s.h.writes[:n:n], acked: n, flushed: n}
	h := &s.h
	if err := h.put(v, 0, s.pattern(5000), true); err != nil {
		t.Fatalf("%s: write after recovery: %v", what, err)
	}
	if _, err := g.Seal(context.Background(), ""); err != nil {
		t.Fatalf("%s: seal after recovery: %v", what, err)
	}
	h.prefix(t, g, len(h.writes), what+", written on")
}

// crashAt runs the course on a new file system whose hook fails operation k; fired says whether it did.
func (s *scenario) crashAt(seed uint64, k int, fault error) (fired bool, err error) {
	s.fs = vfs.NewMem(seed)
	s.stopped = make(chan struct{})
	s.points = map[ident.Seq]int{0: 0}
	s.rng = rand.New(rand.NewPCG(seed, 1))
	s.fs.SetHook(func(op vfs.Op) error {
		if op.Number != k {
			return nil
		}
		fired = true
		s.fault = fmt.Errorf("operation %d, %s %s: %w", op.Number, op.Name, op.Path, fault)
		if errors.Is(fault, vfs.ErrPowerLost) {
			close(s.stopped)
		}
		return s.fault
	})
	err = s.run()
	return fired, err
}

// strideOf is the distance between the operations that a run fails: n, or 1 when WEIR_SOAK is set.
func strideOf(n int) int {
	if os.Getenv("WEIR_SOAK") != "" {
		return 1
	}
	return n
}

// firstOf is the first of them.
func firstOf(n int) int { return 1 + rand.IntN(strideOf(n)) }

// Power is lost at the k-th operation, for every k: what was flushed is there, and the rest is a prefix (G1, G2).
func TestPowerLossAtEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := 0
	for k = firstOf(3); ; k += strideOf(3) {
		s := &scenario{t: t, local: rand.IntN(2) == 0}
		fired, err := s.crashAt(seed, k, vfs.ErrPowerLost)
		if !fired {
			if err != nil {
				t.Fatalf("without a fault: %s: %v", s.step, err)
			}
			break
		}
		what := fmt.Sprintf("seed %d, power lost at operation %d, %s, local %v", seed, k, s.step, s.local)
		m := s.crashInRecovery(s.fs.AfterPowerLoss(), what)
		s.verify(m, s.h.flushed, what)
		s.verify(m.AfterPowerLoss(), s.h.flushed, what+", and again")
	}
	t.Logf("%d operations", k)
	for range 20 { // a run without replication ends earlier, so the last operations of the other have their own turn
		k -= strideOf(3)
		s := &scenario{t: t}
		if fired, _ := s.crashAt(seed, k, vfs.ErrPowerLost); fired {
			s.verify(s.fs.AfterPowerLoss(), s.h.flushed, fmt.Sprintf("seed %d, power lost at operation %d, %s", seed, k, s.step))
		}
	}
}

// crashInRecovery loses power again while the group is being opened, at a random operation.
func (s *scenario) crashInRecovery(m *vfs.Mem, what string) *vfs.Mem {
	s.t.Helper()
	at := 1 + s.rng.IntN(16)
	fired := false
	m.SetHook(func(op vfs.Op) error {
		if op.Number < at || fired {
			return nil
		}
		fired = true
		return vfs.ErrPowerLost
	})
	g, err := Open(scenarioDir, scenarioOptions(m))
	if err == nil {
		_ = g.Close() // it fails when the power goes then
	} else if !errors.Is(err, vfs.ErrPowerLost) && !errors.Is(err, ErrNotGroup) {
		s.t.Fatalf("%s: open: %v", what, err)
	}
	return m.AfterPowerLoss()
}

// The process dies at the k-th operation: everything that was acknowledged is there (G1).
func TestKillAtEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for k := firstOf(5); ; k += strideOf(5) {
		s := &scenario{t: t}
		fired, _ := s.crashAt(seed, k, vfs.ErrPowerLost)
		if !fired {
			break
		}
		what := fmt.Sprintf("seed %d, killed at operation %d, %s", seed, k, s.step)
		m := s.fs.AfterKill()
		s.verify(m, s.h.acked, what)
		s.verify(m.AfterKill(), s.h.acked, what+", and again")
	}
}

// One operation fails: nothing that was promised is lost, whether the process or the power goes afterwards.
func TestErrorAtEveryOperation(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for k := firstOf(4); ; k += strideOf(4) {
		s := &scenario{t: t}
		fault := []error{syscall.EIO, syscall.ENOSPC}[rand.IntN(2)]
		fired, err := s.crashAt(seed, k, fault)
		if !fired {
			break
		}
		what := fmt.Sprintf("seed %d, %v at operation %d, %s (%v)", seed, fault, k, s.step, err)
		s.created = s.created || err == nil
		if rand.IntN(2) == 0 {
			s.verify(s.fs.AfterPowerLoss(), s.h.flushed, what)
		} else {
			s.verify(s.fs.AfterKill(), s.h.flushed, what)
		}
	}
}
