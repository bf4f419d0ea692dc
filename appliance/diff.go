package appliance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/origin"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/rpc"
)

// diffBlocks is how many leaves are compared, and how much content is read, at once: 1 MiB.
const diffBlocks = 256

// diffSector is the unit, in bytes, in which changes are counted.
const diffSector = 512

// Diff implements admin.Differ. Both points are read from the provider; what their leaves say is equal is not read.
func (s *System) Diff(ctx context.Context, volume, from, to string, limit int, report func(api.Progress)) (api.SnapshotDiff, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.SnapshotDiff{}, err
	}
	old, err := g.pointDevice(volume, from)
	if err != nil {
		return api.SnapshotDiff{}, err
	}
	if to == "" {
		now, err := g.sealedPoint(ctx)
		if err != nil {
			return api.SnapshotDiff{}, err
		}
		to = fmt.Sprint(now.End)
	}
	new, err := g.pointDevice(volume, to)
	if err != nil {
		return api.SnapshotDiff{}, err
	}
	if old.volume != new.volume {
		return api.SnapshotDiff{}, fmt.Errorf("%w: %s and %s are two volumes that had the same name", api.ErrConflict, old.name, new.name)
	}
	d := &differ{old: old, new: new, report: report}
	return d.run(ctx, volume, limit)
}

// differ compares one volume at two points.
type differ struct {
	old, new *pointDevice
	known    *classify.Map
	report   func(api.Progress)
	changed  []origin.Range
}

func (d *differ) run(ctx context.Context, volume string, limit int) (api.SnapshotDiff, error) {
	out := api.SnapshotDiff{Volume: volume, From: describePoint(d.old.point), To: describePoint(d.new.point)}
	was, now := newReadAhead(d.old), newReadAhead(d.new)
	var err error
	if d.known, err = classify.ReadMap(now, d.new.size); err != nil {
		return out, fmt.Errorf("file system at %s: %w", d.new.name, err)
	}
	if err := d.compare(ctx); err != nil {
		return out, err
	}
	d.report(api.Progress{What: "reading directories", Unit: "bytes"})
	before, err := origin.Read(ctx, was, d.old.size)
	if err != nil {
		return out, fmt.Errorf("files at %s: %w", d.old.name, err)
	}
	after, err := origin.Read(ctx, now, d.new.size)
	if err != nil {
		return out, fmt.Errorf("files at %s: %w", d.new.name, err)
	}
	found, err := origin.Compare(ctx, before, after, d.changed)
	if err != nil {
		return out, err
	}
	out.FileSystem = cmp.Or(after.FileSystem(), before.FileSystem())
	d.describe(&out, found, limit)
	return out, nil
}

// compare finds the changed ranges and their classes.
func (d *differ) compare(ctx context.Context) error {
	blocks := (d.new.size + leaf.BlockSize - 1) / leaf.BlockSize
	old, new := make([]byte, diffBlocks*leaf.BlockSize), make([]byte, diffBlocks*leaf.BlockSize)
	for first := int64(0); first < blocks; first += diffLeaves {
		n := min(diffLeaves, blocks-first)
		a, err := d.leaves(ctx, d.old, first, n)
		if err != nil {
			return err
		}
		b, err := d.leaves(ctx, d.new, first, n)
		if err != nil {
			return err
		}
		for i := int64(0); i < n; i += diffBlocks {
			m := min(diffBlocks, n-i)
			if string(a[8*i:8*(i+m)]) == string(b[8*i:8*(i+m)]) {
				continue
			}
			off := (first + i) * leaf.BlockSize
			if err := d.window(off, old, new[:min(m*leaf.BlockSize, d.new.size-off)]); err != nil {
				return err
			}
		}
		d.report(api.Progress{What: "comparing", Done: min((first+n)*leaf.BlockSize, d.new.size), Total: d.new.size, Unit: "bytes"})
	}
	return nil
}

// diffLeaves is how many leaves one call asks for: 256 MiB of content.
const diffLeaves = 1 << 16

// leaves asks for n leaves of a point; those beyond the size that the volume had are of zeroes.
func (d *differ) leaves(ctx context.Context, p *pointDevice, first, n int64) ([]byte, error) {
	out := make([]byte, 8*n)
	has := min((p.size+leaf.BlockSize-1)/leaf.BlockSize-first, n)
	zero := leaf.Of(make([]byte, leaf.BlockSize))
	for i := max(has, 0); i < n; i++ {
		binary.LittleEndian.PutUint64(out[8*i:], uint64(zero))
	}
	if has <= 0 {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, pointReadTimeout)
	defer cancel()
	r, err := p.calls.Leaves(ctx, &rpc.LeavesRequest{Point: p.point, Volume: p.volume.UUID[:], First: uint64(first), Count: uint32(has)})
	if err != nil {
		return nil, clusterError(err)
	}
	if int64(len(r.GetLeaves())) != 8*has {
		return nil, fmt.Errorf("provider sent %d bytes of leaves, want %d", len(r.GetLeaves()), 8*has)
	}
	copy(out, r.GetLeaves())
	return out, nil
}

// window compares the content of one range; new has its length.
func (d *differ) window(off int64, old, new []byte) error {
	old = old[:len(new)]
	clear(old)
	if n := min(int64(len(old)), d.old.size-off); n > 0 {
		if err := d.old.ReadAt(old[:n], off); err != nil {
			return err
		}
	}
	if err := d.new.ReadAt(new, off); err != nil {
		return err
	}
	codec.Classes(old, new, off, d.known, func(at, n int64, class classify.Class) {
		in := at - off
		d.sectors(old[in:in+n], new[in:in+n], at, class)
	})
	return nil
}

// sectors notes which sectors of a range of one class differ: blocks of a file system may be smaller than a leaf.
func (d *differ) sectors(old, new []byte, off int64, class classify.Class) {
	for at := 0; at < len(new); at += diffSector {
		end := min(at+diffSector, len(new))
		if bytes.Equal(old[at:end], new[at:end]) {
			continue
		}
		from, n := off+int64(at), int64(end-at)
		if last := len(d.changed) - 1; last >= 0 && d.changed[last].Class == class && d.changed[last].Off+d.changed[last].Len == from {
			d.changed[last].Len += n
			continue
		}
		d.changed = append(d.changed, origin.Range{Off: from, Len: n, Class: class})
	}
}

// describe fills the answer.
func (d *differ) describe(out *api.SnapshotDiff, found *origin.Difference, limit int) {
	var classes [classify.NumClasses]int64
	for _, r := range d.changed {
		classes[r.Class] += r.Len
		out.Changed += r.Len
	}
	out.Classes = classBytes(classes)
	out.Complete = found.Complete
	for i, c := range found.Files {
		if i == limit {
			out.Omitted = len(found.Files) - limit
			break
		}
		out.Files = append(out.Files, api.FileChange{Change: string(c.Change), Path: c.Path, OldPath: c.OldPath, Type: c.Type.String(),
			Inode: c.Number, Size: c.Size, OldSize: c.OldSize, Bytes: c.Sum(), Classes: classBytes(c.Bytes)})
	}
	for kind, n := range found.Elsewhere {
		if n > 0 {
			out.Elsewhere = append(out.Elsewhere, api.RegionSize{Region: fs.Region(kind).String(), Bytes: n})
		}
	}
}

func classBytes(counts [classify.NumClasses]int64) []api.ClassBytes {
	var out []api.ClassBytes
	for class, n := range counts {
		if n > 0 {
			out = append(out, api.ClassBytes{Class: classify.Class(class).String(), Bytes: n})
		}
	}
	return out
}
