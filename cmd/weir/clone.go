package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// serveCommand is weir snapshot serve.
func serveCommand(r *remote) *cobra.Command {
	var in api.CloneCreate
	var all bool
	var places []string
	c := &cobra.Command{
		Use: "serve VOLUME@POINT", Short: "Serve a point over NBD and iSCSI, read-only or as a writable clone", Args: cobra.ExactArgs(1),
		Long: "Serves a point, by name or end, under VOLUME@NAME: at once, without a copy, and until weir clone delete. The point is\n" +
			"kept meanwhile. With --writable, what is written stays with the clone; the point does not change.\n" +
			"With --all-volumes, all volumes of the group are served as they were together.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Clone, error) {
			group, point, err := pointOf(c.Context(), d, args[0])
			if err != nil {
				return api.Clone{}, err
			}
			in.Group, in.Point = group, point
			if !all {
				volume, _, _ := strings.Cut(args[0], "@")
				in.Volumes = []string{volume}
			}
			if in.Places, err = parsePlaces(places); err != nil {
				return api.Clone{}, err
			}
			return d.CreateClone(c.Context(), in)
		}, func(p *printer, x api.Clone) { showClones(p, []api.Clone{x}) }),
	}
	f := c.Flags()
	f.StringVar(&in.Name, "name", "", "`NAME` of the clone (default: clone-1, clone-2, …)")
	f.BoolVar(&in.Writable, "writable", false, "take writes")
	f.BoolVar(&all, "all-volumes", false, "serve all volumes of the group")
	f.StringArrayVar(&places, "place", nil, "`VOLUME=PATH` of a block device or new file, at the daemon, that takes a volume's content")
	return c
}

func parsePlaces(list []string) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, s := range list {
		volume, place, ok := strings.Cut(s, "=")
		if !ok || volume == "" || place == "" {
			return nil, fmt.Errorf("%w: place %q is not VOLUME=PATH", errUsage, s)
		}
		out[volume] = place
	}
	return out, nil
}

func cloneCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "clone", Short: "Points that are served: list, fill, delete",
		Long: "A clone is a point that weir snapshot serve has put behind the doors, read-only or for writing.",
	}
	r.flags(c)
	var force bool
	del := &cobra.Command{Use: "delete NAME", Short: "Stop serving; what was written to the clone is gone", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return r.do(func(d *client.Client) error { return d.DeleteClone(c.Context(), args[0], force) })
		}}
	del.Flags().BoolVar(&force, "force", false, "also while somebody is attached to it")
	c.AddCommand(
		&cobra.Command{Use: "list", Short: "List clones with what each holds itself", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) ([]api.Clone, error) {
				return d.Clones(c.Context())
			}, showClones)},
		&cobra.Command{Use: "fill NAME", Short: "Copy the point into the clone while it is in use; a plain disk in the end", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Clone, error) {
				b := newBar(c.ErrOrStderr(), r.json)
				defer b.close()
				return d.FillClone(c.Context(), args[0], b.report)
			}, func(p *printer, x api.Clone) { showClones(p, []api.Clone{x}) })},
		del,
	)
	return c
}

func showClones(p *printer, list []api.Clone) {
	if len(list) == 0 {
		p.line("no point is served; serve one with: weir snapshot serve VOLUME@POINT --writable")
		return
	}
	p.row("CLONE", "OF", "MODE", "OWN", "CREATED", "EXPORTS")
	for _, c := range list {
		mode := "writable"
		switch {
		case c.ReadOnly:
			mode = "read-only"
		case c.Filled:
			mode = "writable, filled"
		}
		of := c.PointName
		if of == "" {
			of = fmt.Sprint(c.Point.End)
		}
		var exports []string
		for _, v := range c.Volumes {
			exports = append(exports, v.Export)
		}
		p.row(c.Name, c.Group+"@"+of, mode, size(c.OwnBytes), when(c.Created), strings.Join(exports, ", "))
		if c.Error != "" {
			p.line("  not served: %s", c.Error)
		}
	}
	for _, c := range list {
		for _, v := range c.Volumes {
			for _, at := range []string{v.Attach.NBD, v.Attach.ISCSI} {
				if at != "" {
					p.line("%s", at)
				}
			}
		}
	}
}
