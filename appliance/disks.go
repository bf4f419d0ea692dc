package appliance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// describeDisks turns the disks of a look into those of the API; one is behind when its group's head is not its point.
func describeDisks(disks []*rpc.DiskStatus, st *rpc.StatusReply) []api.Disk {
	heads := make(map[string]api.Point)
	for _, g := range st.GetGroups() {
		heads[string(g.GetGroup())] = describePoint(g.GetHead())
	}
	out := make([]api.Disk, 0, len(disks))
	for _, d := range disks {
		disk := describeDisk(d)
		head := heads[string(d.GetDisk().GetGroup())]
		disk.Behind = head != api.Point{} && head != disk.Point
		out = append(out, disk)
	}
	return out
}

func describeDisk(d *rpc.DiskStatus) api.Disk {
	spec := d.GetDisk()
	out := api.Disk{
		ID: uuidText(spec.GetId()), Volume: spec.GetVolumeName(), VolumeID: uuidText(spec.GetVolume()), Kind: spec.GetKind(),
		Place: spec.GetPlace(), Node: spec.GetNode(), Policy: spec.GetPolicy(),
		State: d.GetState(), Point: describePoint(d.GetPoint()), Error: d.GetError(), Applied: d.GetAppliedBytes(),
	}
	out.Conflict = describeRanges(d.GetConflicts())
	return out
}

func describeRanges(list []*rpc.Extent) []api.Range {
	var out []api.Range
	for _, e := range list {
		out = append(out, api.Range{Off: e.GetOffset(), Len: e.GetLength()})
	}
	return out
}

// ownDisks keeps the disks of this gateway's volumes.
func (g *gateway) ownDisks(all []api.Disk) []api.Disk {
	own := make(map[string]bool)
	for _, v := range g.group.Volumes() {
		own[v.ID().String()] = true
	}
	return slices.DeleteFunc(slices.Clone(all), func(d api.Disk) bool { return !own[d.VolumeID] })
}

// Disks implements admin.Disks.
func (s *System) Disks(ctx context.Context) ([]api.Disk, error) {
	c, err := s.clusterUp()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	st, err := c.calls.Status(ctx, &rpc.StatusRequest{})
	if err != nil {
		return nil, clusterError(err)
	}
	r, err := c.calls.Disks(ctx, &rpc.DisksRequest{})
	if err != nil {
		return nil, clusterError(err)
	}
	disks := describeDisks(r.GetDisks(), st)
	if s.gateway != nil {
		disks = s.gateway.ownDisks(disks)
	}
	return disks, nil
}

// AddDisk implements admin.Disks.
func (s *System) AddDisk(ctx context.Context, in api.DiskAdd) (api.Disk, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Disk{}, err
	}
	if g.shipper == nil {
		return api.Disk{}, fmt.Errorf("%w: replication is off", api.ErrUnavailable)
	}
	d := config.Disk{Volume: in.Volume, Kind: in.Kind, Place: in.Place, Node: in.Node, Policy: in.Policy}
	if d.Kind != "nbd" && d.Place != "" && !filepath.IsAbs(d.Place) {
		return api.Disk{}, api.Advise(fmt.Errorf("%w: place %q is not an absolute path", api.ErrInvalid, d.Place),
			"give the whole path, as the machine with the disk sees it")
	}
	if err := checkDisk(&d, s.role == api.RoleAll); err != nil {
		return api.Disk{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err := s.checkPlace(d); err != nil {
		return api.Disk{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	added, err := g.attach(ctx, d)
	if err != nil {
		return api.Disk{}, err
	}
	s.event("info", "disk.added", fmt.Sprintf("disk %s %s follows volume %s", d.Kind, d.Place, d.Volume))
	disks, err := s.Disks(ctx)
	if err != nil {
		return api.Disk{}, err
	}
	for _, have := range disks {
		if have.ID == added {
			return have, nil
		}
	}
	return api.Disk{}, fmt.Errorf("%w: disk %s", api.ErrNotFound, added)
}

// checkDisk refuses what can not be meant, and gives one file one name, so that no two disks claim it: paths become
// absolute and clean, and those of files of this machine free of symbolic links. Devices keep names such as
// /dev/disk/by-id/X, which outlive a restart of the machine.
func checkDisk(d *config.Disk, here bool) error {
	if d.Policy == "" {
		d.Policy = config.DiskPolicies[0]
	}
	switch {
	case !slices.Contains(config.DiskKinds, d.Kind):
		return fmt.Errorf("kind %q is none of %s", d.Kind, strings.Join(config.DiskKinds, ", "))
	case !slices.Contains(config.DiskPolicies, d.Policy):
		return fmt.Errorf("policy %q is none of %s", d.Policy, strings.Join(config.DiskPolicies, ", "))
	case d.Place == "":
		return errors.New("no place")
	case d.Kind == "nbd":
		return nil
	case !here && !filepath.IsAbs(d.Place):
		return fmt.Errorf("place %q at another machine must be an absolute path", d.Place)
	}
	abs, err := filepath.Abs(d.Place)
	if here && d.Kind == "raw" {
		abs = resolved(abs)
	}
	d.Place = abs
	return err
}

// checkPlace refuses a place inside the data folder. Places at other machines are theirs to judge.
func (s *System) checkPlace(d config.Disk) error {
	if s.role != api.RoleAll || d.Kind == "nbd" {
		return nil
	}
	return s.outsideData(d)
}

// outsideData refuses a place of this machine that lies inside the data folder.
func (s *System) outsideData(d config.Disk) error {
	place, err := filepath.Abs(d.Place)
	if err != nil {
		return fmt.Errorf("place of a disk: %w", err)
	}
	data, err := filepath.Abs(s.cfg.Data)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if rel, err := filepath.Rel(resolved(data), resolved(place)); err == nil && filepath.IsLocal(rel) {
		return api.Advise(fmt.Errorf("%w: disk %s lies inside the data folder %s", api.ErrInvalid, place, data), "put it elsewhere")
	}
	return nil
}

// resolved follows the symbolic links of path as far as it exists.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir, name := filepath.Split(path)
	if dir = filepath.Clean(dir); dir == path {
		return path
	}
	return filepath.Join(resolved(dir), name)
}

// VerifyDisk implements admin.Disks.
func (s *System) VerifyDisk(ctx context.Context, id string, report func(api.Progress)) (api.DiskReport, error) {
	disks, err := s.Disks(ctx)
	if err != nil {
		return api.DiskReport{}, err
	}
	for _, d := range disks {
		if d.ID == id {
			return s.verifyDisk(ctx, d, report)
		}
	}
	return api.DiskReport{}, fmt.Errorf("%w: disk %q", api.ErrNotFound, id)
}

func (s *System) verifyDisk(ctx context.Context, d api.Disk, report func(api.Progress)) (api.DiskReport, error) {
	id, err := ident.ParseUUID(d.ID)
	if err != nil {
		return api.DiskReport{}, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	report(api.Progress{What: "reading disk " + d.Place, Unit: "bytes"})
	r, err := s.cluster.calls.VerifyDisk(ctx, &rpc.VerifyDiskRequest{Id: id[:]})
	if err != nil {
		return api.DiskReport{}, clusterError(err)
	}
	out := api.DiskReport{Disk: d, Point: describePoint(r.GetPoint()), Checked: int64(r.GetBlocks()) * 4096,
		Differ: describeRanges(r.GetDifferences()), Want: fmt.Sprintf("%x", r.GetStateHashWant()), Got: fmt.Sprintf("%x", r.GetStateHashGot())}
	out.Equal = len(out.Differ) == 0 && out.Want == out.Got
	return out, nil
}

// DetachDisk implements admin.Disks.
func (s *System) DetachDisk(ctx context.Context, id string) error {
	c, err := s.clusterUp()
	if err != nil {
		return err
	}
	u, err := ident.ParseUUID(id)
	if err != nil {
		return fmt.Errorf("%w: disk %q", api.ErrNotFound, id)
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	if _, err := c.calls.RemoveDisk(ctx, &rpc.RemoveDiskRequest{Id: u[:]}); err != nil {
		return clusterError(err)
	}
	s.event("info", "disk.detached", "disk "+id+" does not follow any more")
	return nil
}
