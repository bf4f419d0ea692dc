package appliance

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target/iscsi"
)

// DeleteVolume implements admin.Volumes.
func (s *System) DeleteVolume(ctx context.Context, name string, drop bool) error {
	g, err := s.gatewayUp()
	if err != nil {
		return err
	}
	g.volumesMu.Lock()
	defer g.volumesMu.Unlock()
	v, err := g.volume(name)
	if err != nil {
		return err
	}
	id := v.ID().UUID
	if !drop {
		if err := g.unattached(id, v.Name()); err != nil {
			return err
		}
	}
	defer g.access.Reopen(id)
	if err := g.access.Close(ctx, id); err != nil {
		return err
	}
	if d := g.doors.iscsi; d != nil {
		d.Drop(iscsi.IQN(v.Name())) // and what was reserved
	}
	if err := g.group.DeleteVolume(v.Name()); err != nil {
		return volumeError(err)
	}
	s.event("info", "volume.deleted", "volume "+v.Name())
	if err := g.reservations.Save(id, nil); err != nil {
		s.event("warning", "reservations.kept", fmt.Sprintf("reservations of the deleted volume %s are still on disk: %v", v.Name(), err))
	}
	return nil
}

// unattached refuses while clients are attached to a volume.
func (g *gateway) unattached(id ident.UUID, name string) error {
	var errs []error
	for _, p := range g.access.Places() {
		if p.Volume == id && p.Name == name {
			errs = append(errs, fmt.Errorf("%w: volume %s is attached by %s (session %d)", api.ErrConflict, name, p.Client, p.ID))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return api.Advise(errors.Join(errs...), "detach it there first, or add --drop-sessions")
}
