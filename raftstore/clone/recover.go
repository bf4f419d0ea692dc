package clone

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
)

// openOverlay opens the overlay whose data file is open already: it decides which blocks that no commit covers were
// written, and writes a new map of all that were.
func openOverlay(fsys vfs.FS, name string, want header, base Base, data vfs.File) (*overlay, error) {
	h, r, err := readMap(fsys, name)
	if err != nil {
		return nil, err
	}
	if h.clone != want.clone || h.volume != want.volume || h.size != want.size {
		return nil, fmt.Errorf("%w: %s is the map of volume %s of clone %s with %d bytes, want %s of %s with %d", ErrDamaged,
			name, h.volume, h.clone, h.size, want.volume, want.clone, want.size)
	}
	k := recovery{data: data, size: h.size, r: r}
	if err := k.run(); err != nil {
		return nil, err
	}
	if err := data.Datasync(); err != nil {
		return nil, fmt.Errorf("content of a clone: %w", err)
	}
	m, err := createMap(fsys, name, *h, r.settled)
	if err != nil {
		return nil, err
	}
	return newOverlay(base, h.size, data, m, r.settled), nil
}

// recovery adds to the settled blocks of a map those that were written without a commit.
type recovery struct {
	data vfs.File
	size int64
	r    *replayed
	buf  [BlockBytes]byte
}

func (k *recovery) run() error {
	found := roaring64.New()
	for b, sums := range k.r.sums {
		p, err := k.block(b)
		if err != nil {
			return err
		}
		if slices.Contains(sums, crc32.Checksum(p, castagnoli)) {
			found.Add(b)
		}
	}
	for _, z := range k.r.zeroes {
		if err := k.zeroRun(z, found); err != nil {
			return err
		}
	}
	k.r.settled.Or(found)
	return nil
}

// block reads a block of the data file.
func (k *recovery) block(b uint64) ([]byte, error) {
	off := int64(b) * BlockBytes
	p := k.buf[:min(BlockBytes, k.size-off)]
	if n, err := k.data.ReadAt(p, off); err != nil && !(errors.Is(err, io.EOF) && n == len(p)) {
		return nil, fmt.Errorf("content of a clone at %d: %w", off, err)
	}
	return p, nil
}

// zeroRun adds the blocks of a run that are zero.
func (k *recovery) zeroRun(z run, found *roaring64.Bitmap) error {
	for b := z.first; b < z.first+z.count; {
		next, err := k.data.NextData(int64(b) * BlockBytes)
		switch {
		case errors.Is(err, io.EOF):
			found.AddRange(b, z.first+z.count)
			return nil
		case err != nil:
			return fmt.Errorf("content of a clone: %w", err)
		}
		if data := min(uint64(next)/BlockBytes, z.first+z.count); data > b {
			found.AddRange(b, data)
			b = data
			continue
		}
		p, err := k.block(b)
		if err != nil {
			return err
		}
		if leaf.IsZero(p) {
			found.Add(b)
		}
		b++
	}
	return nil
}
