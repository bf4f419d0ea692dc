package intercept

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

// ErrRestored says that what a group was filled with is not the state at its Origin.
var ErrRestored = errors.New("content does not have the state hash of its point")

// Origin is the committed point that a group is filled from.
type Origin struct {
	Point   ident.Point
	Volumes []OriginVolume // at Point, in the order of their creation
}

// OriginVolume is one volume at an Origin.
type OriginVolume struct {
	ID        ident.VolumeID
	Name      string
	Size      int64 // bytes
	BlockSize int   // bytes
	State     leaf.State
}

// Restoring is a group folder that is being filled from an Origin. Until Finish the folder is not a group: a crash
// leaves files that the next Restore in it removes. Used by one goroutine.
type Restoring struct {
	group   *Group
	origin  Origin
	volumes []restoringVolume
}

type restoringVolume struct {
	base  *base
	size  int64 // bytes
	state leaf.State
}

// Restore begins to fill the folder dir, which is made if it does not exist, with the state at o. The volumes are
// zeroes at first. ErrExists when dir holds a group, ErrInUse when another process has it open.
func Restore(dir string, opt Options, o Origin) (*Restoring, error) {
	opt = opt.withDefaults()
	if o.Point.IsZero() || len(o.Volumes) > checkpoint.VolumesMax {
		return nil, fmt.Errorf("restoring %d volumes at point %s: %w", len(o.Volumes), o.Point, ErrArgument)
	}
	if err := opt.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("group folder: %w", err)
	}
	g, err := newGroup(dir, opt)
	if err != nil {
		return nil, err
	}
	g.id = o.Point.Group
	r := &Restoring{group: g, origin: o}
	if err := r.begin(); err != nil {
		r.Abort()
		return nil, err
	}
	return r, nil
}

// begin empties the folder and makes the bases.
func (r *Restoring) begin() error {
	g := r.group
	names, err := g.opt.FS.List(g.dir)
	if err != nil {
		return fmt.Errorf("group folder: %w", err)
	}
	for _, name := range names {
		if name == checkpoint.FileName {
			return fmt.Errorf("%s holds a group: %w", g.dir, ErrExists)
		}
	}
	for _, name := range names {
		segment, _ := filepath.Match("log-*.seg", name)
		if !segment && !ownName.MatchString(name) {
			continue
		}
		if err := g.opt.FS.Remove(filepath.Join(g.dir, name)); err != nil {
			return fmt.Errorf("group folder: %w", err)
		}
	}
	for i, v := range r.origin.Volumes {
		spec := VolumeSpec{Name: v.Name, Size: v.Size, BlockSize: v.BlockSize}
		if err := spec.check(); err != nil {
			return err
		}
		b, err := createBase(g.opt.FS, g.dir, uint32(i), v.ID, v.Size)
		if err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
		g.volumes.bases[uint32(i)] = b
		r.volumes = append(r.volumes, restoringVolume{base: b, size: v.Size})
	}
	return nil
}

// WriteAt fills a range of the volume that is number volume of the Origin; off is a multiple of leaf.BlockSize and p
// ends at another or at the end of the volume. Each range is filled once; what is never filled is zeroes.
func (r *Restoring) WriteAt(volume int, p []byte, off int64) error {
	v := &r.volumes[volume]
	if off < 0 || off%leaf.BlockSize != 0 || off+int64(len(p)) > v.size || len(p)%leaf.BlockSize != 0 && off+int64(len(p)) != v.size {
		return fmt.Errorf("filling [%d, %d) of a volume of %d bytes: %w", off, off+int64(len(p)), v.size, ErrArgument)
	}
	id := v.base.id
	var leaves []leaf.Leaf
	for at := 0; at < len(p); at += leaf.BlockSize {
		l := leaf.Of(p[at:min(at+leaf.BlockSize, len(p))])
		v.state = v.state.Replace(id, uint64(off+int64(at))/leaf.BlockSize, 0, l)
		leaves = append(leaves, l)
	}
	if _, err := v.base.file.WriteAt(p, off); err != nil {
		return fmt.Errorf("base at %d: %w", off, err)
	}
	return v.base.leaves.Store(leaves, off/leaf.BlockSize)
}

// Finish checks that every volume has the state hash of the Origin, makes all of it durable, and makes the folder a
// group on a new timeline that continues from the Origin's point; Open opens it. On an error the folder is no group.
func (r *Restoring) Finish() error {
	defer r.Abort()
	for i, v := range r.origin.Volumes {
		if got := r.volumes[i].state; got != v.State {
			return fmt.Errorf("volume %q was filled with state %s, the point has %s: %w", v.Name, got, v.State, ErrRestored)
		}
		b := r.volumes[i].base
		if err := errors.Join(b.file.Datasync(), b.leaves.Sync()); err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
	}
	return r.found()
}

// found makes the log and the checkpoint, which makes the folder a group.
func (r *Restoring) found() error {
	g := r.group
	log, start, err := wal.CreateFrom(g.logOptions(g.opt.SegmentBytes), r.origin.Point.End+1)
	if err != nil {
		return err
	}
	s := checkpoint.State{
		Group: g.id, Timeline: ident.Timeline{UUID: ident.NewUUID()}, SegmentBytes: g.opt.SegmentBytes, Start: start,
		NextNumber: uint32(len(r.origin.Volumes)), Committed: r.origin.Point, States: make(map[ident.VolumeID]leaf.State),
	}
	for i, v := range r.origin.Volumes {
		s.Volumes = append(s.Volumes, checkpoint.Volume{Number: uint32(i), ID: v.ID, Name: v.Name, Size: v.Size, BlockSize: v.BlockSize})
		s.States[v.ID] = v.State
	}
	g.durable.store, err = checkpoint.Create(g.opt.FS, g.dir, &s)
	err = errors.Join(err, log.Abandon())
	return errors.Join(err, g.opt.FS.SyncDir(filepath.Dir(g.dir)))
}

// Abort closes the files and gives the folder up as it is. After Finish it does nothing.
func (r *Restoring) Abort() {
	if r.group.lock != nil {
		r.group.closeFiles()
		r.group.lock = nil
	}
}

// GroupIn returns the ID of the group in a folder that no process has open, without opening it.
func GroupIn(dir string) (ident.GroupID, error) {
	store, state, err := checkpoint.Open(vfs.OS{}, dir)
	if err != nil {
		return ident.GroupID{}, err
	}
	store.Close()
	return state.Group, nil
}
