package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func diskCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{Use: "disk", Short: "Disks that follow volumes: add, list, verify, detach"}
	r.flags(c)
	var in api.DiskAdd
	add := &cobra.Command{
		Use: "add VOLUME KIND PLACE", Short: "Let a disk follow a volume; kinds raw, block, nbd", Args: cobra.ExactArgs(3),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Disk, error) {
			in.Volume, in.Kind, in.Place = args[0], args[1], args[2]
			return d.AddDisk(c.Context(), in)
		}, func(p *printer, d api.Disk) { showDisks(p, []api.Disk{d}) }),
	}
	add.Flags().StringVar(&in.Node, "node", "", "provider node that writes the disk (default: the one that answers)")
	add.Flags().StringVar(&in.Policy, "policy", "", "for a disk that does not hold what it should: refuse (default), resync, overwrite")
	c.AddCommand(add,
		&cobra.Command{Use: "list", Short: "List disks", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) ([]api.Disk, error) {
				return d.Disks(c.Context())
			}, showDisks)},
		&cobra.Command{Use: "verify ID", Short: "Read a whole disk and compare it with the point that it shows", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return verifyDisk(c, r, args[0]) }},
		&cobra.Command{Use: "detach ID", Short: "Stop following; the disk keeps the point that it shows", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return r.do(func(d *client.Client) error { return d.DetachDisk(c.Context(), args[0]) })
			}},
	)
	return c
}

func verifyDisk(c *cobra.Command, r *remote, id string) error {
	b := newBar(c.ErrOrStderr(), r.json)
	var rep api.DiskReport
	err := r.do(func(d *client.Client) (err error) {
		defer b.close()
		rep, err = d.VerifyDisk(c.Context(), id, b.report)
		return err
	})
	if err != nil {
		return err
	}
	err = r.print(c, rep, func(p *printer) { showDiskReport(p, rep) })
	if !rep.Equal {
		err = errors.Join(err, fmt.Errorf("%w: disk %s does not hold its point", api.ErrDiffers, rep.Disk.Place))
	}
	return err
}

func showDisks(p *printer, list []api.Disk) {
	if len(list) == 0 {
		p.line("no disk follows a volume; add one with: weir disk add VOLUME raw /path/to/disk.img")
		return
	}
	p.row("DISK", "VOLUME", "PLACE", "STATE", "POINT", "ID")
	for _, d := range list {
		state := d.State
		if d.Behind {
			state += ", behind"
		}
		p.row(d.Kind, d.Volume, d.Node+":"+d.Place, state, d.Point.End, d.ID)
		if d.Error != "" {
			p.line("  %s", d.Error)
		}
		for _, r := range d.Conflict {
			p.line("  changed by somebody else: %d bytes at %d", r.Len, r.Off)
		}
	}
}

func showDiskReport(p *printer, r api.DiskReport) {
	verdict := "equal"
	if !r.Equal {
		verdict = "DIFFERS"
	}
	p.row("disk "+r.Disk.Place, "point", r.Point.End, verdict, size(r.Checked)+" read", r.Got)
	if r.Got != r.Want {
		p.line("  the commit has state hash %s", r.Want)
	}
	showRanges(p, r.Differ)
}

func showRanges(p *printer, list []api.Range) {
	const shown = 20
	for i, d := range list {
		if i == shown {
			p.line("  and %d more ranges", len(list)-shown)
			return
		}
		p.line("  differs: %d bytes at %d", d.Len, d.Off)
	}
}
