package appliance

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
)

// degradeMax bounds how long a flush may be told to wait before its group degrades; longer is for ever.
const degradeMax = 24 * time.Hour

// syncMode is a group's mode as DATA/gateway.json has it.
type syncMode struct {
	On           bool          `json:"on"`
	DegradeAfter time.Duration `json:"degrade_after"` // ns
}

// applyMode gives the group the mode that is kept.
func (g *gateway) applyMode() {
	if m := g.file.get().Sync; m != nil {
		g.group.SetSync(intercept.SyncMode{On: m.On, DegradeAfter: m.DegradeAfter})
		if m.On && !bool(g.system.cfg.Replication) {
			g.system.degraded(true, "replication is off")
		}
	}
}

// degraded tells operators that mode sync does not hold at present, or does again.
func (s *System) degraded(on bool, why string) {
	if on {
		s.event("warning", "group.degraded", fmt.Sprintf("group %s: flushes are answered before they are committed: %s", groupName, why))
		return
	}
	s.event("info", "group.sync", fmt.Sprintf("group %s: flushes wait for their commit again: %s", groupName, why))
}

// mode describes the group's mode.
func (g *gateway) mode() api.GroupMode {
	st := g.group.SyncStatus()
	m := api.GroupMode{Mode: api.ModeAsync, DegradeAfter: st.DegradeAfter.Seconds(), Waiting: st.Waiting,
		Degraded: st.Degraded || st.On && !bool(g.system.cfg.Replication)}
	if st.On {
		m.Mode = api.ModeSync
	}
	return m
}

// SetGroupMode implements admin.Groups.
func (s *System) SetGroupMode(_ context.Context, group string, m api.GroupMode) (api.GroupMode, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return m, err
	}
	after := time.Duration(m.DegradeAfter * float64(time.Second))
	switch {
	case group != groupName && group != g.group.ID().String():
		return m, fmt.Errorf("%w: group %q", api.ErrNotFound, group)
	case m.Mode != api.ModeAsync && m.Mode != api.ModeSync:
		return m, fmt.Errorf("%w: mode %q is neither async nor sync", api.ErrInvalid, m.Mode)
	case m.DegradeAfter < 0 || m.DegradeAfter > degradeMax.Seconds() || m.Mode == api.ModeAsync && after != 0:
		return m, fmt.Errorf("%w: degrading after %g s in mode %s: 0 to %v in mode sync, nothing in mode async", api.ErrInvalid,
			m.DegradeAfter, m.Mode, degradeMax)
	case m.Mode == api.ModeSync && g.shipper == nil:
		return m, api.Advise(fmt.Errorf("%w: replication is off", api.ErrConflict), "start with --replication on")
	}
	kept := &syncMode{On: m.Mode == api.ModeSync, DegradeAfter: after}
	if err := g.file.change(func(f *gatewayFile) { f.Sync = kept }); err != nil {
		return m, err
	}
	g.applyMode()
	s.event("info", "group.mode", fmt.Sprintf("group %s is in mode %s", groupName, m.Mode))
	return g.mode(), nil
}
