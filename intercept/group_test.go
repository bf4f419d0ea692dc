package intercept

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

const mib = 1 << 20

// testOptions are small segments and no sealing by time.
func testOptions() Options {
	return Options{LogBudget: 8 * mib, SegmentBytes: 512 << 10, SpaceWait: 10 * time.Second}
}

func create(t *testing.T, opt Options) (*Group, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "group")
	g, err := Create(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return g, dir
}

func reopen(t *testing.T, g *Group, dir string, opt Options) *Group {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func closeGroup(t *testing.T, g *Group) {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

func volume(t *testing.T, g *Group, name string) *Volume {
	t.Helper()
	v, err := g.Volume(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustCreateVolume(t *testing.T, g *Group, name string, size int64) *Volume {
	t.Helper()
	v, err := g.CreateVolume(VolumeSpec{Name: name, Size: size, BlockSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// content reads a whole volume in pieces of odd sizes.
func content(t *testing.T, v *Volume) []byte {
	t.Helper()
	p := make([]byte, v.Size())
	for at := int64(0); at < v.Size(); {
		n := min(v.Size()-at, 100_001)
		if err := v.ReadAt(p[at:at+n], at); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	return p
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: byte %d is %d, want %d", what, i, got[i], want[i])
		}
	}
	t.Fatalf("%s: %d bytes, want %d", what, len(got), len(want))
}

// mirror is a volume and what it must hold.
type mirror struct {
	t    *testing.T
	v    *Volume
	want []byte
	rng  *rand.Rand
}

// scribble does n random operations.
func (m *mirror) scribble(n int) {
	m.t.Helper()
	for range n {
		off := m.rng.Int64N(int64(len(m.want)))
		length := min(int64(len(m.want))-off, 1+m.rng.Int64N(20_000))
		var err error
		switch m.rng.IntN(6) {
		case 0:
			err = m.v.WriteZeroes(off, length, 0)
			clear(m.want[off : off+length])
		case 1:
			err = m.v.Trim(off, length, false)
			clear(m.want[off : off+length])
		default:
			p := make([]byte, length)
			for i := range p {
				p[i] = byte(m.rng.Uint32())
			}
			err = m.v.WriteAt(p, off, m.rng.IntN(10) == 0)
			copy(m.want[off:], p)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

func commit(t *testing.T, g *Group, e *Epoch) {
	t.Helper()
	p := ident.Point{Group: g.ID(), Timeline: g.Timeline(), End: e.End()}
	p.Digest[0] = 1
	if err := g.MarkSent(e, p); err != nil {
		t.Fatal(err)
	}
	if err := g.Committed(e, p, nil); err != nil {
		t.Fatal(err)
	}
	e.Release()
}

func next(t *testing.T, g *Group) *Epoch {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	e, err := g.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func seal(t *testing.T, g *Group, name string) ident.Seq {
	t.Helper()
	s, err := g.Seal(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitDestaged waits until the base holds everything up to seq.
func awaitDestaged(t *testing.T, g *Group, seq ident.Seq) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		g.stacks.Lock()
		changed, first := g.stacks.changed, g.stacks.current.Load().layers[0].first
		g.stacks.Unlock()
		if first > seq {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not destaged up to %d: the log begins at %d, %v", seq, first, g.Err())
		}
	}
}

// The whole way: write, read, seal, hand out, commit, destage, recycle, reopen.
func TestWholePath(t *testing.T) {
	opt := testOptions()
	g, dir := create(t, opt)
	rng := rand.New(rand.NewPCG(1, 2))
	a := &mirror{t: t, v: mustCreateVolume(t, g, "a", 1*mib+512), want: make([]byte, 1*mib+512), rng: rng}
	b := &mirror{t: t, v: mustCreateVolume(t, g, "b", 3*mib), want: make([]byte, 3*mib), rng: rng}
	for round := range 8 {
		before := bytes.Clone(a.want)
		a.scribble(60)
		b.scribble(60)
		end := seal(t, g, "")
		after := bytes.Clone(a.want)
		a.scribble(20)
		same(t, "a", content(t, a.v), a.want)
		same(t, "b", content(t, b.v), b.want)

		e := next(t, g)
		if e.End() != end || len(e.Volumes()) != 2 {
			t.Fatalf("epoch ends at %d with %d volumes, want %d", e.End(), len(e.Volumes()), end)
		}
		va := e.Volumes()[0]
		old, now := make([]byte, len(before)), make([]byte, len(after))
		if err := errors.Join(va.Old.ReadAt(old, 0), va.New.ReadAt(now, 0)); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			same(t, "old view", old, before)
		}
		same(t, "new view", now, after)
		commit(t, g, e)
		if round%3 == 2 {
			g = reopen(t, g, dir, opt)
			a.v, b.v = volume(t, g, "a"), volume(t, g, "b")
			same(t, "a reopened", content(t, a.v), a.want)
			same(t, "b reopened", content(t, b.v), b.want)
		}
	}
	awaitDestaged(t, g, g.Ledger().Committed.End)
	same(t, "a", content(t, a.v), a.want)
	same(t, "b", content(t, b.v), b.want)
	closeGroup(t, g)
	if _, err := Create(dir, opt); !errors.Is(err, ErrExists) {
		t.Fatalf("creating over a group: %v", err)
	}
	if err := a.v.WriteAt([]byte{1}, 0, false); !errors.Is(err, target.ErrClosed) {
		t.Fatalf("write to a closed group: %v", err)
	}
}
