package leaf_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstor/weir/intercept/internal/spec"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
)

func TestTableSpecification(t *testing.T) {
	got, err := spec.Constants("../../docs/format-write-log.md", "leaf.")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"TableVersion": leaf.TableVersion, "TableHeaderBytes": leaf.TableHeaderBytes,
		"EntryBytes": leaf.EntryBytes}
	if !maps.Equal(got, want) {
		t.Errorf("the specification says %v, the code %v", got, want)
	}
}

// newTable returns a table on a file in memory.
func newTable(t *testing.T, zeroKnown bool) (*leaf.Table, *vfs.Mem, vfs.File) {
	t.Helper()
	fs := vfs.NewMem(1)
	f, err := fs.Create("/t")
	if err != nil {
		t.Fatal(err)
	}
	table, err := leaf.CreateTable(f, zeroKnown)
	if err != nil {
		t.Fatal(err)
	}
	return table, fs, f
}

// Entries come back as they were stored; what was never stored is unknown, or zero.
func TestTableEntries(t *testing.T) {
	block := make([]byte, leaf.BlockSize)
	for i := range block {
		block[i] = byte(rand.Uint32() | 1)
	}
	some := leaf.Of(block)
	for _, zeroKnown := range []bool{false, true} {
		table, _, f := newTable(t, zeroKnown)
		if err := errors.Join(table.Store([]leaf.Leaf{some, 0, ^leaf.Leaf(0), leaf.Bad}, 1000), table.Sync()); err != nil {
			t.Fatal(err)
		}
		table, err := leaf.OpenTable(f)
		if err != nil {
			t.Fatal(err)
		}
		e := make([]leaf.Entry, 2000)
		if err := table.Load(e, 0); err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct {
			e    leaf.Entry
			l    leaf.Leaf
			want bool
		}{
			{e[1000], some, true}, {e[1000], some + 1, false}, {e[1000], 0, false},
			{e[1001], 0, true}, {e[1001], some, false},
			{e[1002], ^leaf.Leaf(0), true}, {e[1002], 0, false},
			{e[1003], 0, false}, {e[1003], leaf.Bad, false}, {e[1003], ^leaf.Leaf(0), false},
			{e[999], 0, true}, {e[999], some, !zeroKnown},
			{e[1999], 0, true}, {e[1999], some, !zeroKnown},
		} {
			if got := c.e.Matches(c.l); got != c.want {
				t.Errorf("zero known %v, case %d: %v", zeroKnown, i, got)
			}
		}
		if !e[1003].Bad() || e[1002].Bad() {
			t.Errorf("bad: %v and %v", e[1003].Bad(), e[1002].Bad())
		}
		var scanned []int64
		err = table.Scan(1003, func(i int64, e leaf.Entry) bool {
			scanned = append(scanned, i)
			return e.Set()
		})
		if err != nil || !slices.Equal(scanned, []int64{1000, 1001, 1002}) {
			t.Errorf("scanned %v, %v", scanned, err)
		}
		if e[1].Known != zeroKnown || !e[1000].Known {
			t.Errorf("zero known %v: known %v and %v", zeroKnown, e[1].Known, e[1000].Known)
		}
	}
}

// A header that is damaged, of another version, or missing is refused.
func TestTableHeader(t *testing.T) {
	for _, off := range []int64{0, 9, 13, 16, 4000} {
		_, fs, f := newTable(t, true)
		if err := fs.Corrupt("/t", off, 2); err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.OpenTable(f); !errors.Is(err, leaf.ErrTable) {
			t.Errorf("byte %d changed: %v", off, err)
		}
	}
	f, err := vfs.NewMem(1).Create("/t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.OpenTable(f); !errors.Is(err, leaf.ErrTable) {
		t.Errorf("empty file: %v", err)
	}
}
