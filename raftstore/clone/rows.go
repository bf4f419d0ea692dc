package clone

import (
	"math/bits"
	"sync"
)

// rowBlocks is how many neighbouring blocks share a lock: 1 MiB.
const rowBlocks = 256

// rows are locks for regions of a volume.
type rows [64]sync.Mutex

// lock locks the regions of blocks first to last, in an order that all callers share, and returns what unlocks them.
func (r *rows) lock(first, last uint64) (unlock func()) {
	set := ^uint64(0)
	if from, to := first/rowBlocks, last/rowBlocks; to-from < uint64(len(r)) {
		set = 0
		for i := from; i <= to; i++ {
			set |= 1 << (i % uint64(len(r)))
		}
	}
	for m := set; m != 0; m &= m - 1 {
		r[bits.TrailingZeros64(m)].Lock()
	}
	return func() {
		for m := set; m != 0; m &= m - 1 {
			r[bits.TrailingZeros64(m)].Unlock()
		}
	}
}
