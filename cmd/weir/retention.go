package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// retentionCommand is weir snapshot retention.
func retentionCommand(r *remote) *cobra.Command {
	var in api.RetentionSet
	c := &cobra.Command{
		Use: "retention VOLUME", Short: "Show the retention rule of a volume's group, or set it", Args: cobra.ExactArgs(1),
		Long: "Without a --keep flag, shows the rule. With any, replaces the whole rule: what is not given is 0. All 0 keeps every\n" +
			"point. A point stays if one part of the rule keeps it; named points, the head, and points that a disk shows or that\n" +
			"are served stay anyway. Hours, days, weeks (from Monday), months and years are those of UTC.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.RetentionPlan, error) {
			v, err := d.Volume(c.Context(), args[0])
			if err != nil {
				return api.RetentionPlan{}, err
			}
			set := false
			for _, name := range []string{"last", "hourly", "daily", "weekly", "monthly", "yearly"} {
				set = set || c.Flags().Changed("keep-"+name)
			}
			if !set {
				return d.Retention(c.Context(), v.Group)
			}
			return d.SetRetention(c.Context(), v.Group, in)
		}, func(p *printer, plan api.RetentionPlan) { showRetention(p, plan, in.DryRun) }),
	}
	f := c.Flags()
	k := &in.Retention
	f.Uint32Var(&k.Last, "keep-last", 0, "keep the newest `N` points")
	f.Uint32Var(&k.Hourly, "keep-hourly", 0, "keep the newest point of each of the newest `N` hours that have any")
	f.Uint32Var(&k.Daily, "keep-daily", 0, "the same for days")
	f.Uint32Var(&k.Weekly, "keep-weekly", 0, "the same for weeks")
	f.Uint32Var(&k.Monthly, "keep-monthly", 0, "the same for months")
	f.Uint32Var(&k.Yearly, "keep-yearly", 0, "the same for years")
	f.BoolVar(&in.DryRun, "dry-run", false, "only show which points the rule would drop")
	return c
}

func showRetention(p *printer, plan api.RetentionPlan, dry bool) {
	k := plan.Retention
	var parts []string
	for _, x := range []struct {
		n    uint32
		what string
	}{{k.Last, "last"}, {k.Hourly, "hourly"}, {k.Daily, "daily"}, {k.Weekly, "weekly"}, {k.Monthly, "monthly"}, {k.Yearly, "yearly"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	if len(parts) == 0 {
		parts = []string{"every point"}
	}
	p.line("group %s keeps %s, and named points", plan.Group, strings.Join(parts, ", "))
	if len(plan.Drops) == 0 {
		return
	}
	verb := "points that go"
	if dry {
		verb = "points that would go"
	}
	p.line("%s:", verb)
	showSnapshots(p, plan.Drops)
}
