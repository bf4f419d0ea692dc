package replica

import (
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

var _ target.Device = (*device)(nil)

// device is one volume of a point for a door. Its content never changes; every mutating call is refused.
type device struct {
	p         *Point
	volume    ident.VolumeID
	size      int64
	blockSize int
}

func (d *device) ReadAt(p []byte, off int64) error { return d.p.ReadAt(d.volume, p, off) }

func (d *device) refuse() error {
	return fmt.Errorf("%w: point %v", target.ErrReadOnly, d.p.Identity())
}

func (d *device) WriteAt([]byte, int64, bool) error { return d.refuse() }

func (d *device) WriteZeroes(int64, int64, target.ZeroFlags) error { return d.refuse() }

func (d *device) Trim(int64, int64, bool) error { return d.refuse() }

func (d *device) Flush() error { return nil }

func (d *device) Size() int64 { return d.size }

func (d *device) BlockSize() int { return d.blockSize }

func (d *device) ReadOnly() bool { return true }

func (d *device) Extents(off, n int64) ([]target.Extent, error) { return d.p.Extents(d.volume, off, n) }
