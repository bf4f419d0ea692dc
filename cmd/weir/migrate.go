package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func migrateCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "migrate", Short: "Move a group's servers to its disks: start, status, cutover, abort",
		Long: "A migration takes the servers of a group from their volumes here to the disks that follow them:\n\n" +
			"  start    checks that every volume has a disk that can follow\n" +
			"  status   says how far the disks are behind, and what a cutover would wait for\n" +
			"  cutover  runs the hook quiesce, lets writes wait, brings over the last of them, compares the state hashes of both\n" +
			"           sides, fences the source, leaves the disks to the destination and runs the hook start\n" +
			"  abort    ends it; the disks go on following\n\n" +
			"Hooks are programs in DATA/hooks of the gateway: quiesce, resume, start. Until the source is fenced a cutover that\n" +
			"fails or is interrupted is undone, and the source goes on; from there on it is only finished, by the same command.",
	}
	r.flags(c)
	group := "main"
	c.PersistentFlags().StringVar(&group, "group", group, "`NAME` of the group")
	simple := func(use, short string, f func(*client.Client, context.Context, string) (api.Migration, error)) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) (api.Migration, error) {
				return f(d, c.Context(), group)
			}, showMigration)}
	}
	c.AddCommand(
		simple("start", "Check both sides and begin", (*client.Client).StartMigration),
		simple("status", "Where the migration stands", (*client.Client).Migration),
		simple("abort", "End the migration before its point of no return", (*client.Client).AbortMigration),
		&cobra.Command{Use: "cutover", Short: "Take the group from the source and leave its disks to the destination", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) (api.Migration, error) {
				b := newBar(c.ErrOrStderr(), r.json)
				defer b.close()
				return d.Cutover(c.Context(), group, b.report)
			}, showMigration)},
	)
	return c
}

func showMigration(p *printer, m api.Migration) {
	p.line("group %s: %s, since %s", m.Group, m.State, when(m.Started))
	if m.Error != "" {
		p.line("  %s", m.Error)
	}
	if m.State == "following" {
		p.line("  not committed: %s, %.1f s old", size(m.Waiting.Bytes), m.Waiting.Seconds)
		if m.Waiting.Estimate > 0 {
			p.line("  a cutover would wait about %.1f s for it, beside the hooks", m.Waiting.Estimate)
		}
	}
	for _, d := range m.Disks {
		state := d.State
		if d.Behind {
			state += ", behind"
		}
		p.row("  "+d.Volume, d.Kind, d.Place, d.Node, state)
	}
	for _, s := range m.Steps {
		verdict := "done"
		if !s.Done {
			verdict = "FAILED " + s.Error
		}
		p.row("  "+s.Step, fmt.Sprintf("%.2f s", s.Seconds), verdict)
	}
	if m.State == "done" {
		p.line("  at point %s; %.2f s passed since writes began to wait", m.Point, m.Downtime)
	}
}
