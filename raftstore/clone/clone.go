package clone

import (
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// Clone is one clone. Safe for concurrent use; nothing of it changes but the content of its devices.
type Clone struct {
	spec    *Spec
	devices []*Device // as Spec.Volumes; nil when Err is not
	err     error
}

// Spec describes the clone. It must not be changed.
func (c *Clone) Spec() *Spec { return c.spec }

// Err is why the clone can not be served, nil when it is.
func (c *Clone) Err() error { return c.err }

// Devices returns the volumes, nil when Err is not.
func (c *Clone) Devices() []*Device { return c.devices }

// Device returns a volume by its name at the point, nil if the clone does not serve it.
func (c *Clone) Device(volume string) *Device {
	for _, d := range c.devices {
		if d.spec.Name == volume {
			return d
		}
	}
	return nil
}

// OwnBytes is how much of its volumes the clone holds itself.
func (c *Clone) OwnBytes() int64 {
	var n int64
	for _, d := range c.devices {
		n += d.OwnBytes()
	}
	return n
}

// Filled reports whether the clone needs its point no more.
func (c *Clone) Filled() bool {
	for _, d := range c.devices {
		if !d.Filled() {
			return false
		}
	}
	return len(c.devices) > 0
}

func (c *Clone) close() error {
	var errs []error
	for _, d := range c.devices {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// files are the names of the files of a clone.
type files struct {
	fs  vfs.FS
	dir string
	id  ident.UUID
}

const (
	specSuffix = ".json"
	dataSuffix = ".data"
	mapSuffix  = ".map"
)

func (f files) spec() string { return f.dir + "/" + f.id.String() + specSuffix }

func (f files) content(v *Volume) string {
	if v.Place != "" {
		return v.Place
	}
	return f.dir + "/" + f.id.String() + "." + v.ID.String() + dataSuffix
}

func (f files) maps(v *Volume) string {
	return f.dir + "/" + f.id.String() + "." + v.ID.String() + mapSuffix
}

// create makes the overlay of a volume. Its names are durable after the folder is synced.
func (f files) create(v *Volume, base Base) (*overlay, error) {
	data, err := f.createContent(v)
	if err != nil {
		return nil, err
	}
	m, err := createMap(f.fs, f.maps(v), f.header(v), roaring64.New())
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return newOverlay(base, v.Size, data, m, roaring64.New()), nil
}

func (f files) header(v *Volume) header {
	return header{clone: f.id, volume: v.ID, size: v.Size}
}

// createContent opens what takes the content: a new file of the volume's size, or a device that is large enough.
func (f files) createContent(v *Volume) (vfs.File, error) {
	name := f.content(v)
	data, err := f.fs.Create(name)
	if err == nil || v.Place == "" {
		return f.sized(data, v.Size, err)
	}
	if data, err = f.fs.Open(name); err != nil {
		return nil, fmt.Errorf("content of a clone: %w", err)
	}
	size, err := data.Size()
	switch {
	case err == nil && size == 0:
		return f.sized(data, v.Size, nil)
	case err == nil && !isDevice(name):
		err = fmt.Errorf("%w: the file %s has content already", ErrSpec, name)
	case err == nil && size < v.Size:
		err = fmt.Errorf("%w: %s has %d bytes, the volume %d", ErrSpec, name, size, v.Size)
	}
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return data, nil
}

func (f files) sized(data vfs.File, size int64, err error) (vfs.File, error) {
	if err != nil {
		return nil, fmt.Errorf("content of a clone: %w", err)
	}
	if err = data.Truncate(size); err == nil {
		err = data.Datasync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("content of a clone: %w", err), data.Close())
	}
	return data, nil
}

// open opens the overlay of a volume after a restart.
func (f files) open(v *Volume, base Base) (*overlay, error) {
	data, err := f.fs.Open(f.content(v))
	if err != nil {
		return nil, fmt.Errorf("content of a clone: %w", err)
	}
	o, err := openOverlay(f.fs, f.maps(v), f.header(v), base, data)
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return o, nil
}

// remove removes the files of a volume; what was given as Place stays.
func (f files) remove(v *Volume) error {
	err := errors.Join(removeFile(f.fs, f.maps(v)), removeFile(f.fs, f.maps(v)+newMapSuffix))
	if v.Place == "" {
		err = errors.Join(err, removeFile(f.fs, f.content(v)))
	}
	return err
}
