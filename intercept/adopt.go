package intercept

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/todo"
	"github.com/weirstor/weir/intercept/vfs"
)

// makeBase makes the files of a new volume: all zero, or with the image at path, whose size info gets if it has none.
// Durable on return.
func (g *Group) makeBase(info *checkpoint.Volume, path string) (*base, error) {
	if path == "" {
		return createBase(g.opt.FS, g.dir, info.Number, info.ID, info.Size)
	}
	image, err := g.claimImage(info, path)
	if err != nil {
		return nil, err
	}
	m, err := g.firstTodo(image, info)
	if err != nil {
		image.Close()
		return nil, err
	}
	b, err := g.adopt(info, image, path)
	if err != nil {
		return nil, err
	}
	if err := g.syncing.add(g, b, m); err != nil {
		b.close()
		b.remove(g.opt.FS, g.dir)
		return nil, err
	}
	return b, nil
}

// claimImage opens an image that nobody else uses and checks that it can be a volume.
func (g *Group) claimImage(info *checkpoint.Volume, path string) (vfs.File, error) {
	if rel, err := filepath.Rel(g.dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return nil, fmt.Errorf("%w: %s lies in the folder of the group", ErrImage, path)
	}
	f, err := g.opt.FS.Claim(path)
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	case errors.Is(err, vfs.ErrKind), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %w", ErrImage, err)
	case err != nil:
		return nil, err
	}
	if err := checkImage(f, info, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkImage refuses what is not the plain content of a disk, and sizes that do not fit.
func checkImage(f vfs.File, info *checkpoint.Volume, path string) error {
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("size of %s: %w", path, err)
	}
	head, tail := make([]byte, 512), make([]byte, 512)
	if err := errors.Join(readFull(f, head, 0), readFull(f, tail, max(0, size-512))); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if format := imageFormat(head, tail); format != "" {
		return fmt.Errorf("%w: %s is a %s image, and only its plain content can be a volume; convert it: qemu-img convert -O raw %s %s.raw",
			ErrImage, path, format, path, strings.TrimSuffix(path, filepath.Ext(path)))
	}
	switch {
	case size == 0:
		return fmt.Errorf("%w: %s is empty", ErrImage, path)
	case size%int64(info.BlockSize) != 0:
		return fmt.Errorf("%w: %s has %d bytes, which is no multiple of the block size, %d; truncate -s %%%d %s makes it one",
			ErrImage, path, size, info.BlockSize, info.BlockSize, path)
	case info.Size != 0 && info.Size != size:
		return fmt.Errorf("%w: %s has %d bytes, %d were asked for; leave the size out to take that of the image", ErrImage, path, size, info.Size)
	}
	info.Size = size
	return nil
}

// imageFormat names the format of an image that is not raw; "" if it may be raw. head is its first sector, tail its last.
func imageFormat(head, tail []byte) string {
	for _, f := range []struct {
		at    []byte
		off   int
		magic string
		name  string
	}{
		{head, 0, "QFI\xfb", "qcow2"}, {head, 0, "QED\x00", "QED"}, {head, 0, "KDMV", "VMDK"},
		{head, 0, "# Disk DescriptorFile", "VMDK"}, {head, 0, "COWD", "VMDK"}, {head, 0, "vhdxfile", "VHDX"},
		{head, 0, "conectix", "VHD"}, {tail, 0, "conectix", "VHD"}, {head, 64, "\x7f\x10\xda\xbe", "VDI"},
		{head, 0, "WithoutFreeSpace", "Parallels"}, {head, 0, "WithouFreSpacExt", "Parallels"},
	} {
		if bytes.HasPrefix(f.at[f.off:], []byte(f.magic)) {
			return f.name
		}
	}
	return ""
}

// adopt makes the image the base of a volume: the group's folder gets a name for it and a leaf table that knows nothing
// yet. The image is closed if that fails.
func (g *Group) adopt(info *checkpoint.Volume, image vfs.File, path string) (*base, error) {
	raw, leaves := baseNames(g.dir, info.ID)
	b := &base{number: info.Number, id: info.ID, file: image, path: path}
	err := rememberDevice(g.opt.FS, path, deviceName(g.dir, info.ID))
	if err == nil {
		err = g.opt.FS.Link(path, raw)
	}
	b, err = b.addLeaves(g.opt.FS, g.dir, raw, leaves, false, err)
	if err != nil {
		_ = g.opt.FS.Remove(deviceName(g.dir, info.ID)) // what stays is removed when the group is next opened
		return nil, fmt.Errorf("base: %w", err)
	}
	return b, nil
}

// firstTodo is what of an image the provider must get: all but holes.
func (g *Group) firstTodo(image vfs.File, info *checkpoint.Volume) (*todo.Map, error) {
	m := todo.New(info.Size)
	for at := int64(0); at < info.Size; {
		data, hole, err := nextData(image, at, info.Size)
		if err != nil {
			return nil, err
		}
		for off := (at + m.Unit() - 1) / m.Unit() * m.Unit(); off < data && min(off+m.Unit(), info.Size) <= data; off += m.Unit() {
			m.Done(off)
		}
		at = hole
	}
	m.Begin()
	return m, nil
}

// nextData returns the first run of f from at on that is no hole; at size there is none.
func nextData(f vfs.File, at, size int64) (data, hole int64, err error) {
	data, err = f.NextData(at)
	if errors.Is(err, io.EOF) || err == nil && data >= size {
		return size, size, nil
	}
	if err == nil {
		hole, err = f.NextHole(data)
	}
	return data, min(hole, size), err
}

// complete seals and returns when the base holds everything.
func (g *Group) complete(b *base) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.opt.SpaceWait)
	defer cancel()
	end, err := g.Seal(ctx, "")
	if err != nil {
		return err
	}
	for {
		g.stacks.Lock()
		changed, first := g.stacks.changed, g.stacks.current.Load().layers[0].first
		g.stacks.Unlock()
		if err := g.log.Err(); err != nil {
			return g.deviceError(err)
		}
		if first > end {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: its image, %s, does not hold everything that was written to it", ErrBusy, b.path)
		}
	}
}
