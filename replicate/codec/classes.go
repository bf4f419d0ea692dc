package codec

import "github.com/weirstor/weir/classify"

// Classes calls emit, in address order, for each run of leaf blocks of one class that differ between old and new, the
// content of a range of a volume at two moments: the class that one epoch with both as its ends would give them. off is
// where the range begins, a multiple of the leaf block; both slices have its length; m may be nil.
func Classes(old, new []byte, off int64, m *classify.Map, emit func(off, n int64, class classify.Class)) {
	blocks := make([]block, 0, (len(new)+blockSize-1)/blockSize)
	for at := 0; at < len(new); at += blockSize {
		end := min(at+blockSize, len(new))
		kind, _ := m.RegionAt(off + int64(at))
		blocks = append(blocks, look(old[at:end], new[at:end], kind.IsMetadata()))
	}
	joinRuns(blocks)
	for i := 0; i < len(blocks); {
		j := i + 1
		for j < len(blocks) && blocks[j].unchanged == blocks[i].unchanged && blocks[j].class == blocks[i].class {
			j++
		}
		if !blocks[i].unchanged {
			from, to := i*blockSize, min(j*blockSize, len(new))
			emit(off+int64(from), int64(to-from), blocks[i].class)
		}
		i = j
	}
}
