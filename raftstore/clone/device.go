package clone

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

// Device is one volume of a clone for a door. Safe for concurrent use.
type Device struct {
	name  string // VOLUME@CLONE
	clone ident.UUID
	spec  Volume
	base  Base
	over  *overlay // nil: read-only
}

var _ target.Device = (*Device)(nil)

// Name is what the device is served as.
func (d *Device) Name() string { return d.name }

// ID names the device for ever.
func (d *Device) ID() [16]byte {
	h := sha256.Sum256(append(append([]byte("weir clone"), d.clone[:]...), d.spec.ID.UUID[:]...))
	return [16]byte(h[:16])
}

// Spec describes the volume.
func (d *Device) Spec() Volume { return d.spec }

// enter checks a call and keeps the overlay open until the returned function is called.
func (d *Device) enter(off, n int64, change bool) (leave func(), err error) {
	if err := target.CheckRange(off, n, d.spec.Size); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	if d.over == nil {
		if change {
			return nil, fmt.Errorf("%w: %s", target.ErrReadOnly, d.name)
		}
		return func() {}, nil
	}
	d.over.life.RLock()
	if d.over.closed {
		d.over.life.RUnlock()
		return nil, fmt.Errorf("%w: %s", target.ErrClosed, d.name)
	}
	return d.over.life.RUnlock, nil
}

// ReadAt implements target.Device.
func (d *Device) ReadAt(p []byte, off int64) error {
	leave, err := d.enter(off, int64(len(p)), false)
	if err != nil {
		return err
	}
	defer leave()
	if d.over == nil {
		return d.base.ReadAt(p, off)
	}
	return d.over.read(p, off)
}

// WriteAt implements target.Device.
func (d *Device) WriteAt(p []byte, off int64, fua bool) error {
	return d.change(off, int64(len(p)), fua, func(o *overlay) error { return o.write(p, off) })
}

// WriteZeroes implements target.Device.
func (d *Device) WriteZeroes(off, n int64, flags target.ZeroFlags) error {
	return d.change(off, n, flags&target.ZeroFUA != 0, func(o *overlay) error {
		return o.zero(off, n, flags&target.ZeroNoHole != 0)
	})
}

// Trim implements target.Device.
func (d *Device) Trim(off, n int64, fua bool) error {
	return d.change(off, n, fua, func(o *overlay) error { return o.zero(off, n, false) })
}

func (d *Device) change(off, n int64, fua bool, do func(*overlay) error) error {
	leave, err := d.enter(off, n, true)
	if err != nil {
		return err
	}
	defer leave()
	if err = do(d.over); err == nil && fua {
		err = d.over.flush()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// Flush implements target.Device.
func (d *Device) Flush() error {
	if d.over == nil {
		return nil
	}
	return d.change(0, 0, true, func(*overlay) error { return nil })
}

// Size implements target.Device.
func (d *Device) Size() int64 { return d.spec.Size }

// BlockSize implements target.Device.
func (d *Device) BlockSize() int { return d.spec.BlockSize }

// ReadOnly implements target.Device.
func (d *Device) ReadOnly() bool { return d.over == nil }

// Extents implements target.Device.
func (d *Device) Extents(off, n int64) ([]target.Extent, error) {
	leave, err := d.enter(off, n, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	if d.over == nil {
		return d.base.Extents(off, n)
	}
	return d.over.extents(off, n)
}

// OwnBytes is how much of the volume was written, or filled, since the clone was made.
func (d *Device) OwnBytes() int64 {
	if d.over == nil {
		return 0
	}
	return d.over.presentBytes()
}

// close flushes and closes the overlay; calls that begin later are refused.
func (d *Device) close() error {
	if d.over == nil {
		return nil
	}
	o := d.over
	o.life.Lock()
	defer o.life.Unlock()
	if o.closed {
		return nil
	}
	err := o.flush()
	o.closed = true
	return errors.Join(err, o.maps.close(), o.data.Close())
}
