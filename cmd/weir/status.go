package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func statusCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "status",
		Short: "The whole system on one screen",
		Args:  cobra.NoArgs,
		RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) (api.Status, error) {
			return d.Status(c.Context())
		}, showStatus),
	}
	r.flags(c)
	return c
}

func showStatus(p *printer, s api.Status) {
	p.line("weir %s %s: %s", s.Role, s.Node, s.Health.State)
	if s.Health.Reason != "" {
		p.line("  %s", s.Health.Reason)
	}
	if s.Health.Action != "" {
		p.line("  do: %s", s.Health.Action)
	}
	for _, l := range [][2]string{{"NBD", s.Addresses.NBD}, {"iSCSI", s.Addresses.ISCSI}, {"provider", s.Addresses.Provider}, {"page", s.Addresses.Page}} {
		if l[1] != "" {
			p.row("  "+l[0], l[1])
		}
	}
	showStore(p, s.Store)
	for _, g := range s.Groups {
		showGroup(p, g)
	}
	if len(s.Volumes) > 0 {
		p.line("")
		showVolumes(p, s.Volumes)
		for _, v := range s.Volumes {
			if v.FirstSync != nil {
				p.line("  first sync of %s: %s", v.Name, firstSync(v.FirstSync))
			}
		}
	}
	if len(s.Disks) > 0 {
		p.line("")
		showDisks(p, s.Disks)
	}
	if s.Cluster != nil && len(s.Cluster.Nodes) > 1 {
		p.line("")
		showNodes(p, *s.Cluster)
	}
	if next := nextStep(s); next != "" {
		p.line("\nnext: %s", next)
	}
}

func showGroup(p *printer, g api.Group) {
	p.line("\ngroup %s: replication %s, point %d, lag %s", g.Name, g.Replication, g.Committed.End, lag(g.LagSeconds))
	p.line("  waiting %d epochs (%s), log %s of %s", g.Pending.Epochs, size(g.Pending.Bytes), size(g.Log.UsedBytes), size(g.Log.BudgetBytes))
	if text := catchingUp(g); text != "" {
		p.line("  %s", text)
	}
	if g.Wire.HostBytes > 0 && g.Wire.SentBytes > 0 {
		p.line("  hosts wrote %s, the wire carried %s (%.1f : 1)", usize(g.Wire.HostBytes), usize(g.Wire.SentBytes),
			float64(g.Wire.HostBytes)/float64(g.Wire.SentBytes))
	}
	if g.Error != "" {
		p.line("  error: %s", g.Error)
	}
}

// catchingUp says how fast a group that is behind comes nearer; "" when there is nothing to tell.
func catchingUp(g api.Group) string {
	r := g.Rates
	var out []string
	if r.Overflow {
		out = append(out, "overflow: the log ran full, the next point holds everything since")
	}
	if r.DirtyingBytes >= 1 {
		out = append(out, fmt.Sprintf("hosts write %s/s", size(int64(r.DirtyingBytes))))
	}
	if r.DrainingBytes >= 1 {
		out = append(out, fmt.Sprintf("%s/s of that is committed", size(int64(r.DrainingBytes))))
	}
	if r.Throttle {
		out = append(out, "hosts are slowed down while behind")
	}
	if g.Log.NoSpace != "" {
		out = append(out, "no room on the disk")
	}
	return strings.Join(out, ", ")
}

// nextStep says what a newcomer does next; "" when everything is set up.
func nextStep(s api.Status) string {
	switch {
	case s.Role == api.RoleProvider:
		return ""
	case len(s.Volumes) == 0:
		return "weir volume create NAME 10G"
	case len(s.Disks) == 0:
		return fmt.Sprintf("weir disk add %s raw /path/to/disk.img", s.Volumes[0].Name)
	}
	return ""
}

func lag(seconds float64) string {
	if seconds <= 0 {
		return "none"
	}
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func size(n int64) string   { return humanize.IBytes(uint64(max(n, 0))) }
func usize(n uint64) string { return humanize.IBytes(n) }

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func eventsCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens, until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := r.connect()
			if err != nil {
				return err
			}
			defer d.Close()
			var printErr error
			err = d.Events(c.Context(), func(e api.Event) {
				printErr = printEither(c, r.json, e, func(p *printer) {
					p.line("%s %s %s: %s", when(e.Time), strings.ToUpper(e.Level), e.Kind, e.Text)
				})
			}, nil)
			if c.Context().Err() != nil {
				return printErr
			}
			return err
		},
	}
	r.flags(c)
	return c
}
