package appliance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/clone"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

// startClones opens the clones of this machine. They are served as soon as the doors open; the cluster may come later.
func (s *System) startClones() error {
	set, err := clone.Open(clone.Options{
		Dir: filepath.Join(s.cfg.Data, "clones"), Pins: clonePins{rpc.NewPointsClient(s.cluster.client)}, Base: s.basePoint,
		Logger: s.log.With("room", "clones"),
	})
	if err != nil {
		return err
	}
	s.clones = set
	s.closing.add("clones", set.Close)
	return nil
}

// basePoint reads a volume at a point for a clone.
func (s *System) basePoint(p ident.Point, v clone.Volume) clone.Base {
	return &pointDevice{calls: s.cluster.calls, name: v.Name + " at " + p.String(), point: rpc.FromPoint(p), volume: v.ID,
		size: v.Size, blockSize: v.BlockSize}
}

// clonePins keeps the points of clones in the cluster.
type clonePins struct{ calls rpc.PointsClient }

var _ clone.Pins = clonePins{}

func (c clonePins) Pin(ctx context.Context, id ident.UUID, p ident.Point, note string) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	_, err := c.calls.AddPin(ctx, &rpc.AddPinRequest{Pin: &rpc.Pin{Id: id[:], Point: rpc.FromPoint(p), Note: note}})
	return err
}

func (c clonePins) Unpin(ctx context.Context, id ident.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	_, err := c.calls.RemovePin(ctx, &rpc.RemovePinRequest{Id: id[:]})
	if errors.Is(err, rpc.ErrUnknown) {
		return nil
	}
	return err
}

// Pinned lists the pins of clones: other things that read points have pins of their own notes.
func (c clonePins) Pinned(ctx context.Context) ([]ident.UUID, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	r, err := c.calls.Pins(ctx, &rpc.PinsRequest{Own: true})
	if err != nil {
		return nil, err
	}
	var out []ident.UUID
	for _, p := range r.GetPins() {
		id, err := rpc.ToUUID(p.GetId())
		if err != nil {
			return nil, err
		}
		if clone.IsNote(p.GetNote()) {
			out = append(out, id)
		}
	}
	return out, nil
}

// cloneDevice returns the device that is served as VOLUME@NAME for a clone called name, nil if there is none.
func (s *System) cloneDevice(volume, name string) (target.Device, error) {
	c := s.clones.Find(name)
	if c == nil {
		return nil, nil
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if d := c.Device(volume); d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("%w: volume %q in clone %s", api.ErrNotFound, volume, name)
}

// cloneDevices lists what is served of clones.
func (s *System) cloneDevices() []*clone.Device {
	var out []*clone.Device
	for _, c := range s.clones.List() {
		out = append(out, c.Devices()...)
	}
	return out
}

func (s *System) clonesUp() (*clone.Set, error) {
	if s.phase() == api.HealthStarting || s.clones == nil {
		return nil, fmt.Errorf("%w: the system is starting", api.ErrUnavailable)
	}
	return s.clones, nil
}

// Clones implements admin.Clones.
func (s *System) Clones(context.Context) ([]api.Clone, error) {
	set, err := s.clonesUp()
	if err != nil {
		return nil, err
	}
	var out []api.Clone
	for _, c := range set.List() {
		out = append(out, s.describeClone(c))
	}
	return out, nil
}

func (s *System) describeClone(c *clone.Clone) api.Clone {
	spec := c.Spec()
	out := api.Clone{ID: spec.ID.String(), Name: spec.Name, Group: spec.Group, Point: apiPoint(spec.Point), PointName: spec.PointName,
		ReadOnly: spec.ReadOnly, Created: spec.Created, OwnBytes: c.OwnBytes(), Filled: c.Filled()}
	if err := c.Err(); err != nil {
		out.Error = err.Error()
	}
	for _, d := range c.Devices() {
		v := d.Spec()
		out.Volumes = append(out.Volumes, api.CloneVolume{Volume: v.Name, Export: d.Name(), Size: v.Size, BlockSize: v.BlockSize,
			OwnBytes: d.OwnBytes(), Place: v.Place, Attach: s.attachOf(d.Name())})
	}
	return out
}

// attachOf says how a host reaches what the doors serve under name.
func (s *System) attachOf(name string) api.Attach { return attachOf(s.Addresses(), name) }

// CreateClone implements admin.Clones.
func (s *System) CreateClone(ctx context.Context, in api.CloneCreate) (api.Clone, error) {
	set, err := s.clonesUp()
	if err != nil {
		return api.Clone{}, err
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id, group, err := s.groupID(ctx, in.Group)
	if err != nil {
		return api.Clone{}, err
	}
	r, err := s.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if err != nil {
		return api.Clone{}, clusterError(err)
	}
	for _, p := range r.GetPoints() {
		if in.Name != "" && p.GetName() == in.Name {
			return api.Clone{}, api.Advise(fmt.Errorf("%w: a point of the group is called %q", api.ErrConflict, in.Name), "give the clone another name")
		}
	}
	info, _, err := pickPoint(r.GetPoints(), in.Point)
	if err != nil {
		return api.Clone{}, err
	}
	spec, err := s.cloneSpec(group, info, in)
	if err != nil {
		return api.Clone{}, err
	}
	c, err := set.Create(ctx, spec)
	if err != nil {
		return api.Clone{}, cloneError(err)
	}
	s.event("info", "clone.created", fmt.Sprintf("clone %s of point %s at %d is served after %d ms", c.Spec().Name, in.Point,
		info.GetPoint().GetEnd(), time.Since(started).Milliseconds()))
	return s.describeClone(c), nil
}

// cloneSpec describes the clone that is asked for.
func (s *System) cloneSpec(group string, info *rpc.PointInfo, in api.CloneCreate) (clone.Spec, error) {
	p, err := rpc.ToPoint(info.GetPoint())
	if err != nil {
		return clone.Spec{}, err
	}
	spec := clone.Spec{Name: in.Name, Group: group, Point: p, PointName: info.GetName(), ReadOnly: !in.Writable}
	left := slices.Clone(in.Volumes)
	for _, v := range info.GetVolumes() {
		at := slices.Index(left, v.GetName())
		if len(in.Volumes) > 0 && at < 0 {
			continue
		}
		if at >= 0 {
			left = slices.Delete(left, at, at+1)
		}
		if v.GetPartial() {
			return clone.Spec{}, fmt.Errorf("%w: the first sync of volume %q was not complete at that point", api.ErrConflict, v.GetName())
		}
		id, err := rpc.ToUUID(v.GetVolume())
		if err != nil {
			return clone.Spec{}, err
		}
		place, err := s.clonePlace(in.Places[v.GetName()])
		if err != nil {
			return clone.Spec{}, err
		}
		spec.Volumes = append(spec.Volumes, clone.Volume{ID: ident.VolumeID{UUID: id}, Name: v.GetName(), Size: v.GetSize(),
			BlockSize: int(v.GetBlockSize()), Place: place})
	}
	if len(left) > 0 {
		return clone.Spec{}, fmt.Errorf("%w: volume %q in point %q", api.ErrNotFound, left[0], in.Point)
	}
	for name := range in.Places {
		if !slices.ContainsFunc(spec.Volumes, func(v clone.Volume) bool { return v.Name == name }) {
			return clone.Spec{}, fmt.Errorf("%w: a place is given for volume %q, which is not served", api.ErrInvalid, name)
		}
	}
	return spec, nil
}

// clonePlace checks where a volume's content shall go.
func (s *System) clonePlace(place string) (string, error) {
	if place == "" {
		return "", nil
	}
	if !filepath.IsAbs(place) {
		return "", api.Advise(fmt.Errorf("%w: place %q is not an absolute path", api.ErrInvalid, place),
			"give the whole path, as the machine of the daemon sees it")
	}
	place = resolved(filepath.Clean(place))
	return place, s.outsideData(config.Disk{Kind: "raw", Place: place})
}

// DeleteClone implements admin.Clones.
func (s *System) DeleteClone(_ context.Context, name string, force bool) error {
	set, err := s.clonesUp()
	if err != nil {
		return err
	}
	c := set.Find(name)
	if c == nil {
		return fmt.Errorf("%w: clone %q", api.ErrNotFound, name)
	}
	for _, d := range c.Devices() {
		if who := s.attachedTo(d.Name()); who != "" && !force {
			return api.Advise(fmt.Errorf("%w: clone %s is attached by %s", api.ErrConflict, d.Name(), who), "detach it there first, or force it")
		}
	}
	if err := set.Delete(name); err != nil {
		return cloneError(err)
	}
	s.event("info", "clone.deleted", "clone "+name+" is not served any more")
	return nil
}

// FillClone implements admin.Clones.
func (s *System) FillClone(ctx context.Context, name string, report func(api.Progress)) (api.Clone, error) {
	set, err := s.clonesUp()
	if err != nil {
		return api.Clone{}, err
	}
	err = set.Fill(ctx, name, func(volume string, bytes, size int64) {
		report(api.Progress{What: "filling " + volume, Done: bytes, Total: size, Unit: "bytes"})
	})
	if err != nil {
		return api.Clone{}, cloneError(err)
	}
	s.event("info", "clone.filled", "clone "+name+" holds everything itself")
	return s.describeClone(set.Find(name)), nil
}

// cloneError gives an error of package clone the meaning that the API knows.
func cloneError(err error) error {
	for _, m := range []struct{ from, to error }{
		{clone.ErrExists, api.ErrConflict}, {clone.ErrSpec, api.ErrInvalid}, {clone.ErrNotFound, api.ErrNotFound},
		{clone.ErrClosed, api.ErrUnavailable}, {target.ErrReadOnly, api.ErrInvalid},
	} {
		if errors.Is(err, m.from) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return clusterError(err)
}

// pinsOf returns who keeps a point, for people; empty when nobody does.
func (s *System) pinsOf(ctx context.Context, p *rpc.PointInfo) (string, error) {
	r, err := rpc.NewPointsClient(s.cluster.client).Pins(ctx, &rpc.PinsRequest{})
	if err != nil {
		return "", err
	}
	want, err := rpc.ToPoint(p.GetPoint())
	if err != nil {
		return "", err
	}
	for _, x := range r.GetPins() {
		if have, err := rpc.ToPoint(x.GetPoint()); err == nil && have == want {
			return x.GetNote() + " of " + x.GetOwner(), nil
		}
	}
	return "", nil
}
