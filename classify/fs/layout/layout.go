package layout

import (
	"fmt"
	"strings"

	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/ext4"
	"github.com/weirstor/weir/classify/fs/ntfs"
	"github.com/weirstor/weir/classify/fs/xfs"
)

// Bounds of layers, which may be made to hold themselves: how deep they may lie in each other (array, partition, logical
// volume, partition), how many are looked at, and of how many pieces one is. What lies beyond is not known.
const (
	maxDepth    = 4
	maxLayers   = 1024
	maxSegments = 1 << 16
)

// Layout is what was found on a volume.
type Layout struct {
	Systems []Found
	names   []string
	add     func(off, n int64, kind fs.Region)
	replay  bool
	layers  int   // looked at so far
	text    int64 // bytes of LVM's metadata that were read
}

// Found is a file system and where it lies.
type Found struct {
	fs.FileSystem
	Label    string // "" on the whole volume, else the way to it: "partition 2", "partition 3: lvm vg0/root"
	Replayed int    // blocks of its journal that were laid over it
	on       *layer
}

// Place calls f for the pieces of n bytes at off of the file system: the offset there and that on the volume.
func (s Found) Place(off, n int64, f func(in, out, n int64)) {
	s.on.each(off, n, func(in, out, n int64) bool {
		f(in, out, n)
		return true
	})
}

// Regions reports, in offsets of the volume, where structures of the file system lie.
func (s Found) Regions(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	return s.FileSystem.Regions(fuel, func(off, n int64, kind fs.Region) {
		s.Place(off, n, func(_, out, n int64) { add(out, n, kind) })
	})
}

// Find looks at a volume of size bytes. add, which may be nil, learns where partition tables and the metadata of volume
// managers lie. With replay, file systems are opened as a mount would show them, where that is known (ext4). Structures
// that make no sense only lower what is found; an error is that of a read of r.
func Find(r fs.View, size int64, replay bool, add func(off, n int64, kind fs.Region)) (*Layout, error) {
	if add == nil {
		add = func(int64, int64, fs.Region) {}
	}
	l := &Layout{add: add, replay: replay}
	if err := l.look(whole(r, 0, size), "", 0); err != nil {
		return nil, err
	}
	return l, nil
}

// Name says for people what was found: "ext4", "gpt: ext4, xfs", "" for nothing.
func (l *Layout) Name() string { return strings.Join(l.names, ", ") }

// look searches one device: a file system, else an array member, a physical volume or a partition table.
func (l *Layout) look(on *layer, label string, depth int) error {
	if depth >= maxDepth || l.layers == maxLayers {
		return nil
	}
	l.layers++
	found, err := l.system(on, label)
	if found || err != nil {
		return err
	}
	for _, into := range []func(*layer, string, int) (bool, error){l.array, l.physical, l.partitions} {
		if found, err := into(on, label, depth); found || err != nil {
			return err
		}
	}
	return nil
}

// system opens the file system that fills a device.
func (l *Layout) system(on *layer, label string) (bool, error) {
	size := on.size()
	for _, open := range []func(fs.View, int64) (fs.FileSystem, int, error){l.openExt4, openXFS, openNTFS} {
		f, replayed, err := open(on, size)
		if err != nil {
			return false, fmt.Errorf("file system of %s: %w", or(label, "the whole volume"), err)
		}
		if f != nil {
			l.Systems = append(l.Systems, Found{FileSystem: f, Label: label, Replayed: replayed, on: on})
			l.names = append(l.names, f.Kind())
			return true, nil
		}
	}
	return false, nil
}

func (l *Layout) openExt4(r fs.View, size int64) (fs.FileSystem, int, error) {
	f, err := ext4.Open(r, size)
	if f == nil || err != nil || !l.replay {
		return orNil(f), 0, err
	}
	over, n, err := f.Replayed()
	if err != nil || n == 0 {
		return f, 0, err
	}
	if again, err := ext4.Open(over, size); again != nil || err != nil {
		return orNil(again), n, err
	}
	return f, 0, nil
}

func openXFS(r fs.View, size int64) (fs.FileSystem, int, error) {
	f, err := xfs.Open(r, size)
	return orNil(f), 0, err
}

func openNTFS(r fs.View, size int64) (fs.FileSystem, int, error) {
	f, err := ntfs.Open(r, size)
	return orNil(f), 0, err
}

// orNil keeps a nil pointer from becoming an interface that is not nil.
func orNil[T any, P interface {
	*T
	fs.FileSystem
}](f P) fs.FileSystem {
	if f == nil {
		return nil
	}
	return f
}

// partitions looks into each partition of a table.
func (l *Layout) partitions(on *layer, label string, depth int) (bool, error) {
	table, parts, err := readPartitions(on, on.size(), func(off, n int64, kind fs.Region) { l.report(on, off, n, kind) })
	if err != nil || table == "" {
		return false, wrap(err, "partition table", label)
	}
	before := len(l.names)
	for _, p := range parts {
		if err := l.look(on.within([]segment{{0, p.len, p.off}}), join(label, fmt.Sprintf("partition %d", p.number)), depth+1); err != nil {
			return true, err
		}
	}
	l.prefix(table, before)
	return true, nil
}

// prefix names the container of all that was found since before.
func (l *Layout) prefix(container string, before int) {
	if before == len(l.names) {
		l.names = append(l.names, container)
		return
	}
	l.names[before] = container + ": " + l.names[before]
}

// report notes a structure that lies on a layer.
func (l *Layout) report(on *layer, off, n int64, kind fs.Region) {
	if off < 0 || n <= 0 {
		return
	}
	on.each(off, n, func(_, out, n int64) bool {
		l.add(out, n, kind)
		return true
	})
}

func wrap(err error, what, label string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of %s: %w", what, or(label, "the whole volume"), err)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func join(label, part string) string {
	if label == "" {
		return part
	}
	return label + ": " + part
}
