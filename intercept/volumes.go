package intercept

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
)

// Volume returns the volume with that name; ErrNotFound.
func (g *Group) Volume(name string) (*Volume, error) {
	g.volumes.RLock()
	defer g.volumes.RUnlock()
	for _, v := range g.volumes.list {
		if v.name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("volume %q: %w", name, ErrNotFound)
}

// Volumes returns the volumes in the order of their creation.
func (g *Group) Volumes() []*Volume {
	g.volumes.RLock()
	defer g.volumes.RUnlock()
	return slices.Clone(g.volumes.list)
}

// VolumeSpec describes a new volume.
type VolumeSpec struct {
	Name      string // 1 to 255 bytes, unique in the group
	Size      int64  // bytes, above 0, a multiple of BlockSize; 0 with Adopt: that of the image
	BlockSize int    // 512 or 4096; 0: 4096
	Adopt     string // absolute path of a raw image or a block device that becomes the base; "": a new file of zeroes
}

func (s *VolumeSpec) check() error {
	if s.BlockSize == 0 {
		s.BlockSize = 4096
	}
	switch {
	case s.Name == "" || len(s.Name) > checkpoint.NameBytesMax || strings.ContainsAny(s.Name, "/\x00"):
		return fmt.Errorf("volume name %q: %w", s.Name, ErrArgument)
	case s.BlockSize != 512 && s.BlockSize != 4096:
		return fmt.Errorf("block size %d, 512 or 4096 wanted: %w", s.BlockSize, ErrArgument)
	case s.Adopt != "" && !filepath.IsAbs(s.Adopt):
		return fmt.Errorf("image %q: an absolute path is wanted: %w", s.Adopt, ErrArgument)
	case s.Adopt != "" && s.Size == 0: // it is taken from the image
	case s.Size <= 0 || s.Size%int64(s.BlockSize) != 0:
		return fmt.Errorf("size %d, a multiple of %d above 0 wanted: %w", s.Size, s.BlockSize, ErrArgument)
	}
	return nil
}

// CreateVolume makes a volume of zeroes, or one of the content of an existing image; durable on return. ErrExists when
// the name is taken, ErrArgument; ErrImage when the image can not be a volume, ErrInUse when somebody else has it open.
func (g *Group) CreateVolume(spec VolumeSpec) (*Volume, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	g.admin.Lock()
	defer g.admin.Unlock()
	if _, err := g.Volume(spec.Name); err == nil {
		return nil, fmt.Errorf("volume %q: %w", spec.Name, ErrExists)
	}
	t := g.table.Load()
	if len(t.volumes) >= checkpoint.VolumesMax {
		return nil, fmt.Errorf("a group has at most %d volumes: %w", checkpoint.VolumesMax, ErrArgument)
	}
	info := checkpoint.Volume{Number: t.next, ID: ident.VolumeID{UUID: ident.NewUUID()}, Name: spec.Name,
		Size: spec.Size, BlockSize: spec.BlockSize}
	b, err := g.makeBase(&info, spec.Adopt)
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", spec.Name, err)
	}
	g.volumes.Lock()
	g.volumes.bases[info.Number] = b
	g.volumes.Unlock()
	if err := g.change(tableChange{op: tableCreate, volume: info}); err != nil {
		if g.log.Err() == nil { // it did not reach the log
			g.forget(b)
		}
		return nil, fmt.Errorf("volume %q: %w", spec.Name, err)
	}
	v := g.newVolume(&info, b)
	g.volumes.Lock()
	defer g.volumes.Unlock()
	g.volumes.list = append(g.volumes.list, v)
	return v, nil
}

// forget closes and removes the files of a volume that nothing needs any more.
func (g *Group) forget(b *base) {
	g.volumes.Lock()
	delete(g.volumes.bases, b.number)
	g.volumes.Unlock()
	b.close()
	b.remove(g.opt.FS, g.dir)
	g.forgetSync(b)
}

func (g *Group) newVolume(info *checkpoint.Volume, b *base) *Volume {
	v := &Volume{group: g, number: info.Number, id: info.ID, name: info.Name, blockSize: info.BlockSize, base: b,
		tagger: classify.NewTagger()}
	v.size.Store(info.Size)
	return v
}

// change logs a change of the volume table, durably.
func (g *Group) change(c tableChange) error {
	b := &wal.Batch{Records: []wal.Record{c.record()}, Control: true}
	b.OnReserve = func(*wal.Batch) any {
		g.table.Store(g.table.Load().with(c))
		return nil
	}
	return g.control(b)
}

// control takes a batch of control records through the log, durably.
func (g *Group) control(b *wal.Batch) error {
	if err := g.log.Reserve(b); err != nil {
		return g.deviceError(err)
	}
	err := g.log.Write(b)
	if cerr := g.log.Complete(b); err == nil {
		err = cerr
	}
	if err == nil {
		err = g.log.Sync(b.Last())
	}
	if err != nil {
		return g.deviceError(err)
	}
	return nil
}

// DeleteVolume removes a volume and, once nothing needs it any more, its content; durable on return. Calls on the
// Volume fail from then on. ErrNotFound. An image that was adopted stays, with all that was written to the volume; while
// that can not be moved to it within Options.SpaceWait, because it is not committed yet, the volume stays too: ErrBusy.
func (g *Group) DeleteVolume(name string) error {
	g.admin.Lock()
	defer g.admin.Unlock()
	v, err := g.Volume(name)
	if err != nil {
		return err
	}
	info := g.table.Load().find(v.number)
	v.gone.Store(true)
	if v.base.path != "" {
		if err := g.complete(v.base); err != nil {
			v.gone.Store(false)
			return fmt.Errorf("volume %q: %w", name, err)
		}
	}
	if err := g.change(tableChange{op: tableDelete, volume: *info}); err != nil {
		v.gone.Store(g.log.Err() != nil) // it is still there when the change did not reach the log
		return fmt.Errorf("volume %q: %w", name, err)
	}
	g.volumes.Lock()
	defer g.volumes.Unlock()
	g.volumes.list = slices.DeleteFunc(g.volumes.list, func(o *Volume) bool { return o == v })
	return nil
}

// Resize grows the volume to size bytes, a multiple of its block size; what is added reads as zeroes. Durable on
// return. ErrArgument when size is below the present one.
func (v *Volume) Resize(size int64) error {
	g := v.group
	g.admin.Lock()
	defer g.admin.Unlock()
	if err := v.check(0, 0); err != nil {
		return err
	}
	if size < v.Size() || size%int64(v.blockSize) != 0 {
		return fmt.Errorf("volume %q has %d bytes and can only grow, by blocks of %d; %d: %w", v.name, v.Size(),
			v.blockSize, size, ErrArgument)
	}
	if err := v.base.grow(size); err != nil {
		return fmt.Errorf("volume %q: %w", v.name, err)
	}
	info := *g.table.Load().find(v.number)
	info.Size = size
	if err := g.change(tableChange{op: tableResize, volume: info}); err != nil {
		return fmt.Errorf("volume %q: %w", v.name, err)
	}
	v.size.Store(size)
	return nil
}
