package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func snapshotCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "snapshot", Short: "Points of a volume's group: create, list, serve, export, delete, retention",
		Long: "A snapshot is a named point of the whole consistency group that the volume belongs to. It is served,\n" +
			"read-only, as the NBD export and iSCSI target VOLUME@NAME; unnamed points as VOLUME@END.",
	}
	r.flags(c)
	c.AddCommand(diffCommand(r),
		&cobra.Command{Use: "create VOLUME@NAME", Short: "Name the content as it is now; returns when it is committed", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Snapshot, error) {
				group, name, err := pointOf(c.Context(), d, args[0])
				if err != nil {
					return api.Snapshot{}, err
				}
				return d.CreateSnapshot(c.Context(), group, name)
			}, func(p *printer, s api.Snapshot) { showSnapshots(p, []api.Snapshot{s}) })},
		&cobra.Command{Use: "list [VOLUME]", Short: "List points, newest first", Args: cobra.MaximumNArgs(1),
			RunE: calling(r, listSnapshots, showSnapshots)},
		serveCommand(r),
		exportCommand(r),
		retentionCommand(r),
		&cobra.Command{Use: "delete VOLUME@POINT", Short: "Drop a point, by name or end", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return r.do(func(d *client.Client) error {
					group, name, err := pointOf(c.Context(), d, args[0])
					if err != nil {
						return err
					}
					return d.DeleteSnapshot(c.Context(), group, name)
				})
			}},
	)
	return c
}

// pointOf splits VOLUME@POINT and finds the volume's group.
func pointOf(ctx context.Context, d *client.Client, s string) (group, point string, err error) {
	volume, point, ok := strings.Cut(s, "@")
	if !ok || volume == "" || point == "" {
		return "", "", fmt.Errorf("%w: %q is not VOLUME@POINT", errUsage, s)
	}
	v, err := d.Volume(ctx, volume)
	return v.Group, point, err
}

// listSnapshots lists the points of a volume's group, or of all groups.
func listSnapshots(c *cobra.Command, d *client.Client, args []string) ([]api.Snapshot, error) {
	ctx := c.Context()
	if len(args) == 1 {
		v, err := d.Volume(ctx, args[0])
		if err != nil {
			return nil, err
		}
		return d.Snapshots(ctx, v.Group)
	}
	st, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	var all []api.Snapshot
	for _, g := range st.Groups {
		list, err := d.Snapshots(ctx, g.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func showSnapshots(p *printer, list []api.Snapshot) {
	if len(list) == 0 {
		p.line("no point yet; points appear as epochs are committed")
		return
	}
	p.row("GROUP", "NAME", "END", "TIME", "KEPT BY", "VOLUMES")
	for _, s := range list {
		name := s.Name
		if name == "" {
			name = "-"
		}
		var volumes []string
		for _, v := range s.Volumes {
			volumes = append(volumes, v.Name)
		}
		p.row(s.Group, name, s.Point.End, when(s.Time), s.KeptBy, strings.Join(volumes, ", "))
	}
}
