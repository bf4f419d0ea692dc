package appliance

import "github.com/weirstor/weir/target"

const (
	aheadBytes  = 256 << 10 // of one read
	aheadBlocks = 64        // that are kept: 16 MiB
)

// readAhead reads a device in large steps and keeps the latest: the structures of a file system are many small reads near
// each other, and a point is read over the network. It is for one goroutine.
type readAhead struct {
	d      target.Device
	blocks map[int64][]byte
	order  []int64
}

func newReadAhead(d target.Device) *readAhead { return &readAhead{d: d, blocks: map[int64][]byte{}} }

// ReadAt fills p; beyond the volume there are zeroes.
func (r *readAhead) ReadAt(p []byte, off int64) error {
	for len(p) > 0 {
		if off >= r.d.Size() || off < 0 {
			clear(p)
			return nil
		}
		b, err := r.block(off / aheadBytes)
		if err != nil {
			return err
		}
		in := off % aheadBytes
		if in >= int64(len(b)) {
			clear(p)
			return nil
		}
		n := copy(p, b[in:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// block returns one step of the content; the last of a volume is short.
func (r *readAhead) block(i int64) ([]byte, error) {
	if b, ok := r.blocks[i]; ok {
		return b, nil
	}
	b := make([]byte, min(aheadBytes, r.d.Size()-i*aheadBytes))
	if err := r.d.ReadAt(b, i*aheadBytes); err != nil {
		return nil, err
	}
	if len(r.order) == aheadBlocks {
		delete(r.blocks, r.order[0])
		r.order = r.order[1:]
	}
	r.blocks[i], r.order = b, append(r.order, i)
	return b, nil
}
