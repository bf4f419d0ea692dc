package disk

import (
	"slices"

	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target"
)

// run is Count blocks from block First on.
type run struct{ First, Count uint64 }

// runs is a set of blocks as ascending runs that do not touch.
type runs []run

// add adds a block; blocks come in ascending order.
func (r *runs) add(block uint64) {
	if n := len(*r); n > 0 && (*r)[n-1].First+(*r)[n-1].Count == block {
		(*r)[n-1].Count++
		return
	}
	*r = append(*r, run{block, 1})
}

// blocks is the number of blocks in the set.
func (r runs) blocks() (n uint64) {
	for _, x := range r {
		n += x.Count
	}
	return n
}

// union returns the set of the blocks that are in r or in o.
func (r runs) union(o runs) runs {
	all := append(slices.Clone(r), o...)
	slices.SortFunc(all, func(a, b run) int {
		if a.First < b.First {
			return -1
		}
		return 1
	})
	var out runs
	for _, x := range all {
		if n := len(out); n > 0 && x.First <= out[n-1].First+out[n-1].Count {
			end := max(out[n-1].First+out[n-1].Count, x.First+x.Count)
			out[n-1].Count = end - out[n-1].First
			continue
		}
		out = append(out, x)
	}
	return out
}

// extents returns the byte ranges of the set, at most ConflictsMax, on a disk of size bytes.
func (r runs) extents(size int64) []target.Extent {
	var out []target.Extent
	for _, x := range r {
		off := int64(x.First) * leaf.BlockSize
		if len(out) == ConflictsMax || off >= size {
			break
		}
		out = append(out, target.Extent{Off: off, Len: min(int64(x.Count)*leaf.BlockSize, size-off)})
	}
	return out
}

// pieces calls f with parts of the set of at most n blocks, ascending, each in one run.
func (r runs) pieces(n uint64, f func(first, count uint64) error) error {
	for _, x := range r {
		for x.Count > 0 {
			k := min(x.Count, n)
			if err := f(x.First, k); err != nil {
				return err
			}
			x.First, x.Count = x.First+k, x.Count-k
		}
	}
	return nil
}
