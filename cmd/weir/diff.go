package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func diffCommand(r *remote) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use: "diff VOLUME@POINT VOLUME[@POINT]", Short: "Files that were created, changed, renamed or deleted between two points",
		Long: "Compares a volume at two points, or at a point and now, and names the files, for ext4, XFS and NTFS. For XFS and\n" +
			"NTFS what has not left the file system's own log yet is not seen.",
		Args: cobra.ExactArgs(2),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.SnapshotDiff, error) {
			volume, from, _ := strings.Cut(args[0], "@")
			other, to, _ := strings.Cut(args[1], "@")
			if volume == "" || from == "" || other != volume {
				return api.SnapshotDiff{}, fmt.Errorf("%w: want VOLUME@POINT and the same VOLUME, with or without @POINT", errUsage)
			}
			b := newBar(c.ErrOrStderr(), r.json)
			defer b.close()
			return d.Diff(c.Context(), volume, from, to, limit, b.report)
		}, showDiff),
	}
	c.Flags().IntVar(&limit, "limit", 1000, "files to list")
	return c
}

func showDiff(p *printer, d api.SnapshotDiff) {
	p.line("%s: %s changed between points %d and %d", d.Volume, size(d.Changed), d.From.End, d.To.End)
	for _, c := range d.Classes {
		p.row("  "+c.Class, size(c.Bytes))
	}
	for _, e := range d.Elsewhere {
		p.row("  in "+e.Region, size(e.Bytes))
	}
	if d.FileSystem == "" {
		p.line("no file system is known on the volume, so no files can be named")
		return
	}
	p.line("")
	p.row("CHANGE", "BYTES", "PATH")
	for _, f := range d.Files {
		path := f.Path
		if f.OldPath != "" {
			path = f.OldPath + " -> " + f.Path
		}
		p.row(f.Change, size(f.Bytes), path)
	}
	if d.Omitted > 0 {
		p.line("%d more files: give a larger --limit", d.Omitted)
	}
	if !d.Complete {
		p.line("the list is not complete: the file system is damaged or has more files than are looked at")
	}
}
