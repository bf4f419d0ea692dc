package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func groupCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "group", Short: "Consistency groups: show, mode, throttle, restore, takeover, overwrite",
		Long: "A group becomes read-only when its history and the cluster's have parted: another gateway has taken it, the\n" +
			"gateway's folder is new or from a backup, or the cluster is another one. Then an operator decides:\n\n" +
			"  restore    the cluster is right: the gateway is filled from the cluster's newest point; what it held stays on\n" +
			"             the gateway as a branch, which is never sent\n" +
			"  takeover   both hold the same: the group is taken from the gateway that holds it now\n" +
			"  overwrite  the gateway is right: its content becomes the next point; the point before stays, as a named one\n\n" +
			"The gateway starts anew with the decision; connections at its doors end.",
	}
	r.flags(c)
	c.AddCommand(
		&cobra.Command{Use: "show [GROUP]", Short: "Show groups, what can be decided, and branches", Args: cobra.MaximumNArgs(1),
			RunE: calling(r, showingGroups, func(p *printer, l []api.Group) {
				for _, g := range l {
					showDecidable(p, g)
				}
			})},
		groupMode(r),
		groupThrottle(r),
		groupRestore(r),
		groupAct(r, api.ActTakeover, "Take the group from the gateway that holds it; the histories must be the same"),
		groupAct(r, api.ActOverwrite, "Make this gateway's content the cluster's next point"),
	)
	return c
}

func showingGroups(c *cobra.Command, d *client.Client, args []string) ([]api.Group, error) {
	st, err := d.Status(c.Context())
	if err != nil || len(args) == 0 {
		return st.Groups, err
	}
	l := slices.DeleteFunc(st.Groups, func(g api.Group) bool { return g.Name != args[0] && g.ID != args[0] })
	if len(l) == 0 {
		err = fmt.Errorf("%w: group %q", api.ErrNotFound, args[0])
	}
	return l, err
}

func showDecidable(p *printer, g api.Group) {
	p.row("group", g.Name, g.ID)
	p.row("replication", g.Replication, g.Error)
	p.row("committed", g.Committed.End, g.Committed.Timeline)
	showMode(p, g.Mode)
	if len(g.Choices) > 0 {
		p.row("to decide", "weir group "+strings.Join(g.Choices, " | "))
	}
	for _, b := range g.Branches {
		p.row("branch", when(b.At), b.Path, b.Reason)
	}
}

func showMode(p *printer, m api.GroupMode) {
	policy := ""
	switch {
	case m.Degraded:
		policy = "DEGRADED: flushes are answered before they are committed"
	case m.Mode == api.ModeSync && m.DegradeAfter > 0:
		policy = fmt.Sprintf("a flush waits for its commit, %g s at most", m.DegradeAfter)
	case m.Mode == api.ModeSync:
		policy = "a flush waits for its commit"
	}
	p.row("mode", m.Mode, policy)
}

func groupMode(r *remote) *cobra.Command {
	var after time.Duration
	c := &cobra.Command{
		Use: "mode async|sync [GROUP]", Short: "Say whether a flush waits until it is committed", Args: cobra.RangeArgs(1, 2),
		Long: "async: a flush is answered when it is on stable storage at the gateway. A slow or broken line delays no host.\n" +
			"sync: it is answered when a committed point holds it too. While the line is broken hosts wait; with\n" +
			"--degrade-after they wait so long at most, then the group goes on as in async until commits keep up again.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.GroupMode, error) {
			return d.SetGroupMode(c.Context(), groupArg(args[1:]), api.GroupMode{Mode: args[0], DegradeAfter: after.Seconds()})
		}, showMode),
	}
	c.Flags().DurationVar(&after, "degrade-after", 0, "go on without the provider after this time (default: wait as long as it takes)")
	return c
}

// groupArg is the group that is meant: a gateway has one.
func groupArg(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "main"
}

func groupRestore(r *remote) *cobra.Command {
	var from string
	c := decide(r, "restore [GROUP]", "Fill the gateway from the cluster's newest point; what it held stays as a branch", func() api.GroupAct {
		return api.GroupAct{Act: api.ActRestore, From: from}
	})
	c.Flags().StringVar(&from, "from", "", "`GROUP` of the cluster to restore, as UUID or GATEWAY/NAME (default: the one that belongs here)")
	return c
}

func groupAct(r *remote, act, short string) *cobra.Command {
	return decide(r, act+" [GROUP]", short, func() api.GroupAct { return api.GroupAct{Act: act} })
}

// decide makes a command that sends a decision and returns when it is carried out.
func decide(r *remote, use, short string, act func() api.GroupAct) *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{Use: use, Short: short, Args: cobra.MaximumNArgs(1),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Group, error) {
			ctx := c.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			before, err := d.Status(ctx)
			if err != nil {
				return api.Group{}, err
			}
			decision, err := d.DecideGroup(ctx, groupArg(args), act())
			if err != nil {
				return api.Group{}, err
			}
			return carriedOut(ctx, d, before.Started, decision, func(what string) {
				if !r.json {
					fmt.Fprintln(c.ErrOrStderr(), what)
				}
			})
		}, showDecidable)}
	c.Flags().DurationVar(&limit, "timeout", 0, "give up waiting after this time; the decision stays (default: never)")
	return c
}

const decisionPoll = 200 * time.Millisecond

// carriedOut returns the group when the daemon has started anew and follows the cluster, or why it does not. say is told
// of each new stage.
func carriedOut(ctx context.Context, d *client.Client, started time.Time, decision api.GroupDecision, say func(string)) (api.Group, error) {
	tick := time.NewTicker(decisionPoll)
	defer tick.Stop()
	last := ""
	for {
		g, stage, err := outcome(ctx, d, started, decision)
		if err != nil || stage == "" {
			return g, err
		}
		if stage != last {
			say(stage)
			last = stage
		}
		select {
		case <-ctx.Done():
			return g, fmt.Errorf("%w: %w: %s", api.ErrTimeout, ctx.Err(), stage)
		case <-tick.C:
		}
	}
}

// outcome looks once. stage says what is still being done; "": it is done.
func outcome(ctx context.Context, d *client.Client, started time.Time, decision api.GroupDecision) (g api.Group, stage string, err error) {
	st, err := d.Status(ctx)
	switch {
	case errors.Is(err, api.ErrUnavailable):
		return g, "the gateway starts anew", nil
	case err != nil:
		return g, "", err
	case !st.Started.After(started):
		return g, "the gateway ends its connections", nil
	case st.Health.State == api.HealthStarting || len(st.Groups) == 0:
		return g, st.Health.Reason, nil
	}
	g = st.Groups[0]
	switch {
	case g.Replication == "fenced" || g.Replication == "blocked" || g.Replication == "stopped":
		return g, "", api.Advise(fmt.Errorf("%w: group %s: %s", api.ErrConflict, g.Name, g.Error), "%s", st.Health.Action)
	case decision.Act == api.ActRestore && g.ID != decision.Group:
		return g, "", api.Advise(fmt.Errorf("%w: group %s was not restored", api.ErrConflict, g.Name), "weir events says why")
	case g.Deciding != "":
		return g, "the group is being brought together with the cluster's", nil
	}
	return g, "", nil
}
