package intercept

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/weirstor/weir/target"
)

// write is one step of a group's order: what one record does to one volume.
type write struct {
	volume string
	off, n int64
	data   []byte // nil: zeroes
}

// contents is what the volumes of a group hold.
type contents map[string][]byte

func (c contents) clone() contents {
	n := make(contents, len(c))
	for name, b := range c {
		n[name] = bytes.Clone(b)
	}
	return n
}

func (c contents) apply(w write) {
	b := c[w.volume]
	if int64(len(b)) < w.off+w.n {
		return // the volume is not there at this place of the order, or not yet that large
	}
	clear(b[w.off : w.off+w.n])
	copy(b[w.off:w.off+w.n], w.data)
}

// history is every write that was submitted to a group, in its order, and how far they were promised to survive.
type history struct {
	writes  []write
	acked   int // writes that survive the death of the process
	flushed int // writes that survive a power loss
}

// submit records w and runs do, which submits it; without an error it is acknowledged.
func (h *history) submit(w write, fua bool, do func() error) error {
	h.writes = append(h.writes, w)
	if err := do(); err != nil {
		return err
	}
	h.acked = len(h.writes)
	if fua {
		h.flushed = h.acked
	}
	return nil
}

// flush runs do, which flushes; without an error everything acknowledged before is durable.
func (h *history) flush(do func() error) error {
	acked := h.acked
	err := do()
	if err == nil {
		h.flushed = max(h.flushed, acked)
	}
	return err
}

// prefix returns which prefix of h, of at least least writes, the volumes of g hold, of several the longest; it fails the
// test when there is none.
func (h *history) prefix(t *testing.T, g *Group, least int, what string) int {
	t.Helper()
	got := make(contents)
	want := make(contents)
	for _, v := range g.Volumes() {
		got[v.Name()] = content(t, v)
		want[v.Name()] = make([]byte, v.Size())
	}
	found := -1
	for i := 0; ; i++ {
		if i >= least && got.equal(want) {
			found = i
		}
		if i == len(h.writes) {
			break
		}
		want.apply(h.writes[i])
	}
	if found < 0 {
		h.explain(t, got, least, what)
	}
	return found
}

func (c contents) equal(o contents) bool {
	for name := range c {
		if !bytes.Equal(c[name], o[name]) {
			return false
		}
	}
	return true
}

// explain fails the test with the prefix that comes nearest and what differs from it.
func (h *history) explain(t *testing.T, got contents, least int, what string) {
	t.Helper()
	want := make(contents)
	for name, b := range got {
		want[name] = make([]byte, len(b))
	}
	best, bestDiff, where := -1, 1<<62, ""
	for i := 0; i <= len(h.writes); i++ {
		if i > 0 {
			want.apply(h.writes[i-1])
		}
		diff, first := 0, ""
		for name := range got {
			for j := range got[name] {
				if got[name][j] != want[name][j] {
					if diff == 0 {
						first = fmt.Sprintf("%s at %d: %d, want %d", name, j, got[name][j], want[name][j])
					}
					diff++
				}
			}
		}
		if diff < bestDiff {
			best, bestDiff, where = i, diff, first
		}
	}
	t.Fatalf("%s: not a prefix of at least %d of %d writes (%d acknowledged, %d flushed); nearest is %d, with %d bytes of difference: %s",
		what, least, len(h.writes), h.acked, h.flushed, best, bestDiff, where)
}

// put writes to a volume and records it.
func (h *history) put(v *Volume, off int64, data []byte, fua bool) error {
	return h.submit(write{v.Name(), off, int64(len(data)), data}, fua, func() error { return v.WriteAt(data, off, fua) })
}

// batch writes several pieces together and records them.
func (h *history) batch(v *Volume, offs []int64, data [][]byte) error {
	ops := make([]target.WriteOp, len(offs))
	for i := range offs {
		ops[i] = target.WriteOp{Data: data[i], Off: offs[i]}
		h.writes = append(h.writes, write{v.Name(), offs[i], int64(len(data[i])), data[i]})
	}
	v.WriteBatch(ops)
	for i := range ops {
		if ops[i].Err != nil {
			return ops[i].Err
		}
	}
	h.acked = len(h.writes)
	return nil
}

func (h *history) zero(v *Volume, off, n int64, trim bool) error {
	return h.submit(write{v.Name(), off, n, nil}, false, func() error {
		if trim {
			return v.Trim(off, n, false)
		}
		return v.WriteZeroes(off, n, 0)
	})
}
