package appliance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/migrate"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
)

// Hooks of a cutover, programs in DATA/hooks: before writes are held, when they go on because nothing came of it, and to
// start the destination.
const (
	hookQuiesce = "quiesce"
	hookResume  = "resume"
	hookStart   = "start"
)

// cutover does the steps of a migration on a gateway.
type cutover struct {
	g      *gateway
	report func(api.Progress)
}

var _ migrate.System = (*cutover)(nil)

func (c *cutover) Quiesce(ctx context.Context) error { return c.g.system.runHook(ctx, hookQuiesce) }

func (c *cutover) Resume() error {
	c.g.group.Release()
	return c.g.system.runHook(context.Background(), hookResume)
}

func (c *cutover) Hold(context.Context) error {
	c.g.group.Hold()
	return c.g.group.Err()
}

// Commit seals what the hold left as a named point and waits until it is committed and every disk shows it.
func (c *cutover) Commit(ctx context.Context, disks []migrate.Disk) (string, error) {
	end, err := c.g.group.Seal(ctx, time.Now().UTC().Format("cutover-20060102-150405"))
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	point, err := c.g.committed(ctx, end, c.report)
	if err != nil {
		return "", err
	}
	if point.End != end {
		return "", fmt.Errorf("%w: the cluster is at %d behind the point of the cutover, %d", api.ErrConflict, point.End, end)
	}
	for _, v := range c.g.group.Volumes() {
		have, err := c.g.followed(ctx, point, v.ID(), c.report)
		if err != nil {
			return "", err
		}
		if err := allShow(have, disks, v.Name(), point); err != nil {
			return "", err
		}
	}
	return fmt.Sprint(end), nil
}

// allShow reports a disk of the migration that does not show exactly the point.
func allShow(have []api.Disk, disks []migrate.Disk, volume string, point ident.Point) error {
	for _, d := range disks {
		if d.Volume != volume {
			continue
		}
		i := slices.IndexFunc(have, func(h api.Disk) bool { return h.ID == d.ID })
		if i < 0 {
			return fmt.Errorf("%w: disk %s of volume %s does not follow any more", api.ErrConflict, d.Place, volume)
		}
		if h := have[i]; h.State != "clean" || h.Point.End != uint64(point.End) {
			return fmt.Errorf("%w: disk %s of volume %s is %s at %d, not clean at %d", api.ErrConflict, d.Place, volume, h.State, h.Point.End, point.End)
		}
	}
	return nil
}

// Verify compares the state hash that each side has computed from its own bytes.
func (c *cutover) Verify(ctx context.Context, _ []migrate.Disk, point string) error {
	id := c.g.group.ID()
	p, err := findPoint(ctx, c.g.system.cluster.calls, id.UUID[:], point)
	if err != nil {
		return err
	}
	if !p.GetVerified() {
		return fmt.Errorf("%w: the provider has not verified point %s", api.ErrUnavailable, point)
	}
	ledger := c.g.group.Ledger()
	for _, v := range p.GetVolumes() {
		u, err := rpc.ToUUID(v.GetVolume())
		if err != nil {
			return err
		}
		if want := ledger.States[ident.VolumeID{UUID: u}].Bytes(); string(want[:]) != string(v.GetStateHash()) {
			return fmt.Errorf("%w: volume %s at point %s: the provider has state %x, the gateway %x", api.ErrDiffers, v.GetName(), point, v.GetStateHash(), want)
		}
	}
	return nil
}

// Fence ends writing here first, then takes the group in the cluster, under the migration's own name, so that no gateway
// commits to it without an operator's takeover.
func (c *cutover) Fence(ctx context.Context, id, point string) error {
	why := fmt.Errorf("%w: the group was cut over at point %s", rpc.ErrStaleTerm, point)
	c.g.parted.set(why)
	c.g.group.Fence(why)
	if err := c.g.file.change(func(f *gatewayFile) { f.Act, f.ReadOnly = actNone, readOnlyOf(why) }); err != nil {
		return err
	}
	owner, err := ident.ParseUUID(id)
	if err != nil {
		return fmt.Errorf("migration %q: %w", id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	_, err = c.g.remote.OpenSession(ctx, replicate.SessionRequest{Group: c.g.group.ID(), GroupName: groupName, Gateway: owner,
		GatewayName: "migration", Cluster: c.g.file.get().Cluster, KnownHead: c.g.group.Ledger().Committed, Takeover: true})
	return err
}

// Promote makes the disks follow no more: each keeps the point that it shows.
func (c *cutover) Promote(ctx context.Context, disks []migrate.Disk) error {
	have, err := c.g.system.Disks(ctx)
	if err != nil {
		return err
	}
	for _, d := range disks {
		if !slices.ContainsFunc(have, func(h api.Disk) bool { return h.ID == d.ID }) {
			continue // by an earlier attempt
		}
		if err := c.g.system.DetachDisk(ctx, d.ID); err != nil {
			return fmt.Errorf("disk %s: %w", d.Place, err)
		}
	}
	return nil
}

func (c *cutover) Start(ctx context.Context, disks []migrate.Disk, point string) error {
	var places []string
	for _, d := range disks {
		places = append(places, d.Volume+"="+d.Place)
	}
	return c.g.system.runHook(ctx, hookStart, "WEIR_POINT="+point, "WEIR_DISKS="+strings.Join(places, "\n"))
}
