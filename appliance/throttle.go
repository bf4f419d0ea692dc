package appliance

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
)

// fullGrace is how long writes may wait for room in the log before that is worth telling.
const fullGrace = 2 * time.Second

// ChangeGroup implements admin.Groups.
func (s *System) ChangeGroup(ctx context.Context, group string, change api.GroupChange) (api.Group, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.Group{}, err
	}
	if _, _, err := s.groupID(ctx, group); err != nil {
		return api.Group{}, err
	}
	if change.Throttle != nil && g.group.Throttle() != *change.Throttle {
		g.group.SetThrottle(*change.Throttle)
		s.event("info", "group.throttle", fmt.Sprintf("slowing hosts down while the group is behind: %v", *change.Throttle))
	}
	return g.describe(), nil
}

// describeRates says whether the group catches up.
func (g *gateway) describeRates(p intercept.Pending) api.Rates {
	return api.Rates{DirtyingBytes: p.Dirtying, DrainingBytes: p.Draining, Overflow: p.Overflow, Throttle: g.group.Throttle()}
}

// spaceHealth says what is wrong with the room for what hosts write; ok if nothing is.
func (g *gateway) spaceHealth() api.Health {
	switch p := g.group.Pending(); {
	case p.NoSpace != "":
		return api.Health{State: api.HealthDegraded, Reason: "the disk of the data folder has no room for what hosts write: " + p.NoSpace,
			Action: "make room there; it goes on by itself"}
	case !p.FullSince.IsZero() && time.Since(p.FullSince) > fullGrace && g.shipper != nil:
		return api.Health{State: api.HealthDegraded, Reason: "the write log is full: writes wait, and fail when that takes too long",
			Action: "bring the provider back, or make room for what waits; a larger --log-budget gives more time"}
	}
	return api.Health{State: api.HealthOK}
}
