package intercept

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/internal/spec"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
	"github.com/weirstor/weir/target"
)

// A block of the base that is damaged, and then overwritten in part, stays damaged though the process restarts before
// the write reaches the base.
func TestDamageIsNotBlessedByRestart(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	g.SetReplication(false)
	mustWrite(t, v, 0, fill(1, 20_000))
	awaitDestaged(t, g, seal(t, g, ""))
	g.SetReplication(true)
	mustWrite(t, v, 10_000, fill(2, 100))
	seal(t, g, "")
	raw, _ := baseNames(scenarioDir, v.id)
	if err := m.Corrupt(raw, 9000, 4); err != nil {
		t.Fatal(err)
	}
	closeGroup(t, g)
	g, err := Open(scenarioDir, scenarioOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	v = volume(t, g, "v")
	damaged := func(what string) {
		t.Helper()
		var medium *target.MediumError
		if err := v.ReadAt(make([]byte, 2000), 8500); !errors.As(err, &medium) || medium.Off != 8192 {
			t.Fatalf("%s: %v", what, err)
		}
	}
	damaged("after the restart")
	expect(t, "what the log has", v, 10_000, fill(2, 100))
	g.SetReplication(false)
	awaitDestaged(t, g, seal(t, g, "last"))
	damaged("after destaging")
	closeGroup(t, g)
}

// Power is lost at each operation while an epoch that overwrites blocks in part is destaged, and a byte that it keeps
// changes: whenever the block is read, it is damage. Without the change it reads as what was written.
func TestPowerLossWhileDestaging(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, spoil := range []bool{false, true} {
		for k := 1; ; k++ {
			if !destageCut(t, seed+uint64(k), k, spoil) {
				break
			}
		}
	}
}

// destageCut cuts the power at operation k of a destage; false when it was through before.
func destageCut(t *testing.T, seed uint64, k int, spoil bool) bool {
	t.Helper()
	m := vfs.NewMem(seed)
	g, err := Create(scenarioDir, scenarioOptions(m))
	if err != nil {
		t.Fatal(err)
	}
	v := mustCreateVolume(t, g, "v", 64<<10)
	g.SetReplication(false)
	mustWrite(t, v, 0, fill(1, 20_000))
	awaitDestaged(t, g, seal(t, g, ""))
	g.SetReplication(true)
	mustWrite(t, v, 8192+1000, fill(2, 2000)) // keeps sectors at both ends of the block
	mustWrite(t, v, 12_288, fill(3, 4096))
	end := seal(t, g, "")
	if err := v.Flush(); err != nil {
		t.Fatal(err)
	}
	start, fired := m.Ops(), make(chan struct{})
	m.SetHook(func(op vfs.Op) error {
		if op.Number < start+k {
			return nil
		}
		if op.Number == start+k {
			close(fired)
		}
		return vfs.ErrPowerLost
	})
	g.SetReplication(false)
	cut := false
	for done := false; !done; {
		g.stacks.Lock()
		changed, first := g.stacks.changed, g.stacks.current.Load().layers[0].first
		g.stacks.Unlock()
		select {
		case <-fired:
			cut, done = true, true
		case <-changed:
		default:
			done = first > end
			if !done {
				select {
				case <-fired:
				case <-changed:
				}
			}
		}
	}
	m.PowerOff()
	_ = g.Close()
	if !cut {
		return false
	}
	m = m.AfterPowerLoss()
	raw, _ := baseNames(scenarioDir, v.id)
	if spoil {
		if err := m.Corrupt(raw, 8192+100, 8); err != nil {
			t.Fatal(err)
		}
	}
	if g, err = Open(scenarioDir, scenarioOptions(m)); err != nil {
		t.Fatal(err)
	}
	v = volume(t, g, "v")
	want := append(append(fill(1, 1000), fill(2, 2000)...), append(fill(1, 1096), fill(3, 4096)...)...)
	for _, what := range []string{"after the restart", "after destaging"} {
		what = fmt.Sprintf("seed %d, operation %d, spoiled %v, %s", seed, k, spoil, what)
		got := make([]byte, len(want))
		err := v.ReadAt(got, 8192)
		var medium *target.MediumError
		switch {
		case !spoil && err != nil:
			t.Fatalf("%s: %v", what, err)
		case !spoil:
			same(t, what, got, want)
		case !errors.As(err, &medium) || medium.Off != 8192:
			t.Fatalf("%s: %v", what, err)
		}
		g.SetReplication(false)
		awaitDestaged(t, g, seal(t, g, "last"))
	}
	closeGroup(t, g)
	return true
}

// partly names exactly the blocks that are touched and not covered.
func TestPartly(t *testing.T) {
	for round := range 300 {
		rng := rand.New(rand.NewPCG(uint64(round), 3))
		const blocks = 24
		size := int64(blocks*leaf.BlockSize - rng.IntN(2)*1000)
		a, have := extent.NewActive(), make([]bool, size)
		for i := range 1 + rng.IntN(12) {
			off := rng.Int64N(size)
			n := 1 + rng.Int64N(min(size-off, 3*leaf.BlockSize*int64(1+rng.IntN(3))))
			if rng.IntN(2) == 0 {
				off = off / leaf.BlockSize * leaf.BlockSize
				n = min((n+leaf.BlockSize-1)/leaf.BlockSize*leaf.BlockSize, size-off)
			}
			a.Insert(extent.Entry{Pos: wal.Pos(i + 1), Payload: uint32(n)}, off, n)
			for j := off; j < off+n; j++ {
				have[j] = true
			}
		}
		var got, want []int64
		partly(a.Seal(), size, func(block int64) bool { got = append(got, block); return true })
		for b := range int64(blocks) {
			n, whole := 0, min(leaf.BlockSize, size-b*leaf.BlockSize)
			for _, h := range have[b*leaf.BlockSize : b*leaf.BlockSize+whole] {
				if h {
					n++
				}
			}
			if n > 0 && n < int(whole) {
				want = append(want, b)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("round %d: %v, want %v", round, got, want)
		}
	}
}

// A redo file that is not whole counts as none; a newer one is refused.
func TestDecodeRedo(t *testing.T) {
	r := &redo{end: 9, blocks: []redoBlock{{number: 1, block: 5, leaf: 77}, {number: 2, block: 6, leaf: leaf.Bad}}}
	b := append(r.encode(), "left from a longer one"...)
	got, err := decodeRedo(b)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(r) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty": func([]byte) []byte { return nil }, "bit": func(b []byte) []byte { b[redoHeaderBytes+9] ^= 1; return b },
		"cut off": func(b []byte) []byte { return b[:redoHeaderBytes+5] },
		"count":   func(b []byte) []byte { b[offRedoCount+6] = 0xff; return b },
	} {
		if _, err := decodeRedo(change(bytes.Clone(b))); !errors.Is(err, errRedo) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b[offRedoVersion] = 2
	if _, err := decodeRedo(b); !errors.Is(err, wal.ErrVersion) || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("newer: %v", err)
	}
}

// The table of the specification is that of the code.
func TestRedoSpecification(t *testing.T) {
	got, err := spec.Layout("../docs/format-write-log.md", "Redo files")
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]spec.Field{
		"magic": {Off: 0, Bytes: len(redoMagic)}, "version": {Off: offRedoVersion, Bytes: 4}, "CRC-32C": {Off: offRedoCRC, Bytes: 4},
		"last": {Off: offRedoEnd, Bytes: 8}, "number": {Off: offRedoCount, Bytes: 8},
	} {
		if got[word] != want {
			t.Errorf("%s: %+v in the specification, %+v in the code", word, got[word], want)
		}
	}
}

func FuzzDecodeRedo(f *testing.F) {
	f.Add((&redo{end: 9, blocks: []redoBlock{{1, 5, 77}}}).encode())
	f.Add((&redo{}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRedo(b)
		if err == nil && !bytes.Equal(r.encode()[offRedoEnd:offRedoCount+8], b[offRedoEnd:offRedoCount+8]) {
			t.Fatal("decoded to something else")
		}
	})
}
