package appliance

import (
	"context"
	"fmt"
	"slices"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// Retention implements admin.Retention.
func (s *System) Retention(ctx context.Context, group string) (api.RetentionPlan, error) {
	return s.withGroup(ctx, group, func(ctx context.Context, id ident.GroupID, name string) (api.RetentionPlan, error) {
		return s.retentionPlan(ctx, id, name, nil)
	})
}

// SetRetention implements admin.Retention.
func (s *System) SetRetention(ctx context.Context, group string, in api.RetentionSet) (api.RetentionPlan, error) {
	r := in.Retention
	if r.Last == 0 && r != (api.Retention{}) {
		return api.RetentionPlan{}, api.Advise(fmt.Errorf("%w: a rule with hours, days, weeks, months or years keeps the last point at least", api.ErrInvalid),
			"give --keep-last 1 or more")
	}
	return s.withGroup(ctx, group, func(ctx context.Context, id ident.GroupID, name string) (api.RetentionPlan, error) {
		rule := &rpc.RetentionRule{Last: r.Last, Hourly: r.Hourly, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly}
		plan, err := s.retentionPlan(ctx, id, name, rule)
		if err != nil || in.DryRun {
			return plan, err
		}
		if _, err := rpc.NewPointsClient(s.cluster.client).SetRule(ctx, &rpc.SetRuleRequest{Group: id.UUID[:], Rule: rule}); err != nil {
			return plan, clusterError(err)
		}
		s.event("info", "retention.set", fmt.Sprintf("group %s keeps %+v; %d points go", name, r, len(plan.Drops)))
		return plan, nil
	})
}

func (s *System) withGroup(ctx context.Context, group string, do func(context.Context, ident.GroupID, string) (api.RetentionPlan, error)) (api.RetentionPlan, error) {
	if _, err := s.clusterUp(); err != nil {
		return api.RetentionPlan{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	id, name, err := s.groupID(ctx, group)
	if err != nil {
		return api.RetentionPlan{}, err
	}
	return do(ctx, id, name)
}

// retentionPlan tells the rule of a group, or another one, and what it drops.
func (s *System) retentionPlan(ctx context.Context, id ident.GroupID, name string, instead *rpc.RetentionRule) (api.RetentionPlan, error) {
	r, err := rpc.NewPointsClient(s.cluster.client).Rule(ctx, &rpc.RuleRequest{Group: id.UUID[:], Instead: instead})
	if err != nil {
		return api.RetentionPlan{}, clusterError(err)
	}
	rule := r.GetRule()
	out := api.RetentionPlan{Group: name, Retention: api.Retention{Last: rule.GetLast(), Hourly: rule.GetHourly(), Daily: rule.GetDaily(),
		Weekly: rule.GetWeekly(), Monthly: rule.GetMonthly(), Yearly: rule.GetYearly()}}
	if len(r.GetDrops()) == 0 {
		return out, nil
	}
	points, err := s.cluster.calls.Points(ctx, &rpc.PointsRequest{Group: id.UUID[:]})
	if err != nil {
		return out, clusterError(err)
	}
	for _, p := range points.GetPoints() {
		if slices.Contains(r.GetDrops(), p.GetNumber()) {
			out.Drops = append(out.Drops, describeSnapshot(name, p, false))
		}
	}
	return out, nil
}
