package appliance

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// pointName keeps names apart from end sequences and from volume names with an @.
var pointName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)

// groupID finds a group by name or UUID: the gateway's own, or, on a provider, any.
func (s *System) groupID(ctx context.Context, name string) (ident.GroupID, string, error) {
	if s.gateway != nil {
		id := s.gateway.group.ID()
		if name == groupName || name == id.String() {
			return id, groupName, nil
		}
		return ident.GroupID{}, "", fmt.Errorf("%w: group %q", api.ErrNotFound, name)
	}
	st, err := s.cluster.calls.Status(ctx, &rpc.StatusRequest{})
	if err != nil {
		return ident.GroupID{}, "", clusterError(err)
	}
	var found []*rpc.GroupStatus
	for _, g := range st.GetGroups() {
		if g.GetName() == name || uuidText(g.GetGroup()) == name {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		return ident.GroupID{}, "", fmt.Errorf("%w: group %q", api.ErrNotFound, name)
	}
	if len(found) > 1 {
		return ident.GroupID{}, "", api.Advise(fmt.Errorf("%w: %d groups are called %q", api.ErrConflict, len(found), name), "give the group's UUID")
	}
	id, err := rpc.ToUUID(found[0].GetGroup())
	return ident.GroupID{UUID: id}, found[0].GetName(), err
}

// Snapshots implements admin.Snapshots.
func (s *System) Snapshots(ctx context.Context, group string) ([]api.Snapshot, error) {
	c, err := s.clusterUp()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id, name, err := s.groupID(ctx, group)
	if err != nil {
		return nil, err
	}
	r, err := c.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if s.gateway != nil && errors.Is(err, rpc.ErrUnknown) {
		return []api.Snapshot{}, nil // the first session of the group has not begun yet
	}
	if err != nil {
		return nil, clusterError(err)
	}
	out := make([]api.Snapshot, 0, len(r.GetPoints()))
	for i, p := range r.GetPoints() {
		out = append(out, describeSnapshot(name, p, i == len(r.GetPoints())-1))
	}
	slices.Reverse(out)
	return out, nil
}

func describeSnapshot(group string, p *rpc.PointInfo, head bool) api.Snapshot {
	out := api.Snapshot{Group: group, Name: p.GetName(), Point: describePoint(p.GetPoint()), Number: p.GetNumber(),
		Verified: p.GetVerified(), PackBytes: p.GetPackBytes(), KeptBy: "rule"}
	if p.GetTime() != 0 {
		out.Time = time.Unix(0, p.GetTime())
	}
	switch {
	case out.Name != "":
		out.KeptBy = "name"
	case head:
		out.KeptBy = "head"
	}
	for _, v := range p.GetVolumes() {
		out.Volumes = append(out.Volumes, api.SnapshotVolume{Name: v.GetName(), ID: uuidText(v.GetVolume()), Size: v.GetSize(),
			State: fmt.Sprintf("%x", v.GetStateHash())})
	}
	return out
}

// Snapshot implements admin.Snapshots.
func (s *System) Snapshot(ctx context.Context, group, point string) (api.Snapshot, error) {
	c, err := s.clusterUp()
	if err != nil {
		return api.Snapshot{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id, name, err := s.groupID(ctx, group)
	if err != nil {
		return api.Snapshot{}, err
	}
	r, err := c.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if err != nil {
		return api.Snapshot{}, clusterError(err)
	}
	p, head, err := pickPoint(r.GetPoints(), point)
	if err != nil {
		return api.Snapshot{}, err
	}
	out := describeSnapshot(name, p, head)
	for i, v := range p.GetVolumes() {
		out.Volumes[i].Chunks = describeCounts(countsOf(v))
	}
	return out, nil
}

// CreateSnapshot implements admin.Snapshots.
func (s *System) CreateSnapshot(ctx context.Context, group, name string) (api.Snapshot, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Snapshot{}, err
	}
	if !pointName.MatchString(name) {
		return api.Snapshot{}, fmt.Errorf("%w: point name %q: want a letter, then up to 63 of a-z, 0-9, dot, dash, underscore", api.ErrInvalid, name)
	}
	id, _, err := s.groupID(ctx, group)
	if err != nil {
		return api.Snapshot{}, err
	}
	if s.clones.Find(name) != nil {
		return api.Snapshot{}, api.Advise(fmt.Errorf("%w: a clone is called %q", api.ErrConflict, name), "take another name")
	}
	release, err := g.claim(name)
	if err != nil {
		return api.Snapshot{}, err
	}
	defer release()
	if err := g.nameFree(ctx, id, name); err != nil {
		return api.Snapshot{}, err
	}
	if err := g.complete(g.group.Volumes()...); err != nil {
		return api.Snapshot{}, err
	}
	end, err := g.group.Seal(ctx, name)
	if err != nil {
		return api.Snapshot{}, fmt.Errorf("sealing: %w", err)
	}
	if _, err := g.committed(ctx, end, func(api.Progress) {}); err != nil {
		return api.Snapshot{}, err
	}
	p, err := findPoint(ctx, s.cluster.calls, id.UUID[:], name)
	if err != nil {
		return api.Snapshot{}, err
	}
	s.event("info", "snapshot.created", fmt.Sprintf("point %s at %d", name, p.GetPoint().GetEnd()))
	return describeSnapshot(groupName, p, false), nil
}

// claim keeps others from making a point of the same name until release is called: the cluster knows a name only when
// its point is committed.
func (g *gateway) claim(name string) (release func(), err error) {
	g.making.Lock()
	defer g.making.Unlock()
	if g.making.names[name] {
		return nil, api.Advise(fmt.Errorf("%w: point %q is being made", api.ErrConflict, name), "take another name, or wait for it")
	}
	if g.making.names == nil {
		g.making.names = make(map[string]bool)
	}
	g.making.names[name] = true
	return func() {
		g.making.Lock()
		defer g.making.Unlock()
		delete(g.making.names, name)
	}, nil
}

func (g *gateway) nameFree(ctx context.Context, id ident.GroupID, name string) error {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	r, err := g.system.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if errors.Is(err, rpc.ErrUnknown) {
		return nil // the first session of the group has not begun yet
	}
	if err != nil {
		return clusterError(err)
	}
	for _, p := range r.GetPoints() {
		if p.GetName() == name {
			return api.Advise(fmt.Errorf("%w: point %q exists", api.ErrConflict, name), "take another name, or delete it first")
		}
	}
	return nil
}

// DeleteSnapshot implements admin.Snapshots.
func (s *System) DeleteSnapshot(ctx context.Context, group, point string) error {
	c, err := s.clusterUp()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id, _, err := s.groupID(ctx, group)
	if err != nil {
		return err
	}
	p, err := findPoint(ctx, c.calls, id.UUID[:], point)
	if err != nil {
		return err
	}
	if who, err := s.pinsOf(ctx, p); err != nil || who != "" {
		if err != nil {
			return clusterError(err)
		}
		return api.Advise(fmt.Errorf("%w: point %s is kept by %s", api.ErrConflict, point, who), "delete that first")
	}
	if err := dropPoint(ctx, c.calls, p); err != nil {
		return clusterError(err)
	}
	s.event("info", "snapshot.deleted", fmt.Sprintf("point %s at %d", point, p.GetPoint().GetEnd()))
	return nil
}

// dropPoint takes a point's name away and deletes it. A named point that is still the head, or that a disk shows, stays
// without its name until the retention rule drops it.
func dropPoint(ctx context.Context, calls rpc.ProviderClient, p *rpc.PointInfo) error {
	if p.GetName() != "" {
		if _, err := calls.NamePoint(ctx, &rpc.NamePointRequest{Point: p.GetPoint()}); err != nil {
			return err
		}
	}
	_, err := calls.DeletePoints(ctx, &rpc.DeletePointsRequest{Points: []*rpc.Point{p.GetPoint()}})
	if errors.Is(err, rpc.ErrInUse) && p.GetName() != "" {
		return nil
	}
	return err
}
