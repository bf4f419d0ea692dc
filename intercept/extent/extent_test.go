package extent

import (
	"testing"

	"github.com/weirstor/weir/intercept/wal"
	"pgregory.net/rapid"
)

// model is a map of one entry for each byte: the position of the record that it came from, and where in it.
type model struct {
	pos   []wal.Pos
	delta []uint32
	zero  []bool
}

func newModel(size int) *model {
	return &model{make([]wal.Pos, size), make([]uint32, size), make([]bool, size)}
}

func (m *model) insert(e Entry, off, n int64) {
	for i := off; i < off+n; i++ {
		if m.pos[i] < e.Pos {
			m.pos[i], m.zero[i], m.delta[i] = e.Pos, e.Zero(), 0
			if !e.Zero() {
				m.delta[i] = uint32(i - off)
			}
		}
	}
}

// check compares [off, end) of got with the model.
func (m *model) check(t *rapid.T, got []Entry, off, end int64) {
	at := off
	for _, e := range got {
		if e.Off < at || e.Len == 0 || e.End() > end {
			t.Fatalf("entry %+v out of order or range %d..%d, at %d", e, off, end, at)
		}
		for ; at < e.Off; at++ {
			if m.pos[at] != 0 {
				t.Fatalf("byte %d is missing", at)
			}
		}
		for ; at < e.End(); at++ {
			delta := uint32(0)
			if !e.Zero() {
				delta = e.Delta + uint32(at-e.Off)
			}
			if m.pos[at] != e.Pos || m.delta[at] != delta || m.zero[at] != e.Zero() {
				t.Fatalf("byte %d: entry %+v, want record %d at %d", at, e, m.pos[at], m.delta[at])
			}
		}
	}
	for ; at < end; at++ {
		if m.pos[at] != 0 {
			t.Fatalf("byte %d is missing", at)
		}
	}
}

// drawEntry makes a range near shard and leaf borders.
func drawEntry(t *rapid.T, size int64, pos wal.Pos) (e Entry, off, n int64) {
	off = rapid.Int64Range(0, size-1).Draw(t, "off")
	n = rapid.Int64Range(1, min(size-off, rapid.SampledFrom([]int64{4, 64, size}).Draw(t, "scale"))).Draw(t, "n")
	e = Entry{Pos: pos}
	if rapid.Bool().Draw(t, "data") {
		e.Payload = uint32(n)
	}
	return e, off, n
}

// Inserts in any order amount to the newest record for each byte, before and after sealing and merging.
func TestMapsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 2000
		base := rapid.SampledFrom([]int64{0, shardBytes - 1000}).Draw(t, "base")
		sealed := new(Sealed)
		m := newModel(size)
		pos := wal.Pos(1)
		for range rapid.IntRange(1, 3).Draw(t, "maps") {
			a := NewActive()
			order := rapid.Permutation(seqs(rapid.IntRange(0, 150).Draw(t, "inserts"))).Draw(t, "order")
			for _, i := range order {
				e, off, n := drawEntry(t, size, pos+wal.Pos(i))
				a.Insert(e, base+off, n)
				m.insert(e, off, n)
			}
			pos += wal.Pos(len(order))
			one := a.Seal()
			if one.Len() != a.Len() {
				t.Fatalf("sealed %d entries of %d", one.Len(), a.Len())
			}
			sealed = Merge(one, sealed)
		}
		off := rapid.Int64Range(0, size-1).Draw(t, "from")
		end := rapid.Int64Range(off, size).Draw(t, "to")
		got := sealed.Append(nil, base+off, base+end)
		for i := range got {
			got[i].Off -= base
		}
		m.check(t, got, off, end)
	})
}

func seqs(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// A map holds many entries in order, whatever the order of their arrival.
func TestActiveMany(t *testing.T) {
	for _, stride := range []int64{1, 7919} {
		a := NewActive()
		const n = 20000
		for i := range int64(n) {
			off := (i * stride % n) * 4096
			a.Insert(Entry{Pos: wal.Pos(i + 1), Payload: 4096}, off, 4096)
		}
		if a.Len() != n {
			t.Fatalf("stride %d: %d entries, want %d", stride, a.Len(), n)
		}
		at := int64(0)
		for e := range a.Seal().All() {
			if e.Off != at || e.Len != 4096 {
				t.Fatalf("stride %d: entry %+v, want offset %d", stride, e, at)
			}
			at += 4096
		}
	}
}

func BenchmarkActiveInsertRandom(b *testing.B) {
	a := NewActive()
	x := uint64(88172645463325252)
	b.ReportAllocs()
	for i := range b.N {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		a.Insert(Entry{Pos: wal.Pos(i + 1), Payload: 4096}, int64(x%(1<<18))*4096, 4096)
	}
	b.ReportMetric(float64(a.Len()), "entries")
}
