package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance"
	"github.com/weirstor/weir/appliance/demo"
)

func dumpCommand() *cobra.Command {
	c := &cobra.Command{Use: "dump", Short: "Print what is in a file: log, pack, epoch"}
	for _, k := range appliance.DumpKinds {
		c.AddCommand(&cobra.Command{
			Use: k.Name + " PATH", Short: k.About, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return k.Dump(c.OutOrStdout(), args[0]) },
		})
	}
	c.AddCommand(dumpEpoch())
	return c
}

// dumpEpoch asks a daemon: what an epoch did is known where its point is kept.
func dumpEpoch() *cobra.Command {
	r := &remote{}
	return remoteCommand(r, &cobra.Command{
		Use: "epoch VOLUME@POINT", Short: "What the epoch of a point did to each volume of the group, by class", Args: cobra.ExactArgs(1),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Snapshot, error) {
			group, point, err := pointOf(c.Context(), d, args[0])
			if err != nil {
				return api.Snapshot{}, err
			}
			return d.Snapshot(c.Context(), group, point)
		}, showEpoch),
	})
}

func showEpoch(p *printer, s api.Snapshot) {
	p.row("point", fmt.Sprintf("%d %s", s.Point.End, s.Name))
	p.row("timeline", s.Point.Timeline)
	p.row("commit", s.Point.Digest)
	p.row("time", when(s.Time))
	p.row("packs", usize(s.PackBytes))
	p.row("verified", s.Verified)
	for _, v := range s.Volumes {
		p.line("\nvolume %s, %s, state hash %s", v.Name, size(v.Size), v.State)
		if len(v.Chunks) == 0 {
			p.line("  nothing changed")
			continue
		}
		showChunks(p, v.Chunks)
	}
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{appliance.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			return printEither(c, asJSON, v, func(p *printer) {
				p.line("weir %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func demoCommand() *cobra.Command {
	opt := demo.Options{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job: a volume, its writes, a disk that follows, compared byte by byte",
		Long: "Starts gateway and provider in one process on loopback in a temporary folder, writes a real file system and\n" +
			"everyday work on it through NBD, reads through iSCSI, waits until the disk has followed, and compares it with the\n" +
			"volume byte by byte. Exits with 6 when anything differs.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !asJSON {
				opt.Out = c.OutOrStdout()
			}
			report, err := demo.Run(c.Context(), opt)
			if err != nil {
				return err
			}
			if !asJSON {
				return nil
			}
			return printEither(c, true, report, nil)
		},
	}
	p := c.Flags()
	p.BoolVar(&asJSON, "json", false, "print JSON")
	p.StringVar(&opt.Folder, "keep", "", "keep everything in this `DIR` (default: a temporary folder, removed)")
	p.BoolVar(&opt.Hold, "hold", false, "stay up at the end, until interrupted, so that the page can be looked at")
	p.IntVar(&opt.Rounds, "rounds", 20, "rounds of small updates after the recorded ones")
	p.BoolVarP(&opt.Verbose, "verbose", "v", false, "log what the parts do, to the standard error")
	opt.Log = os.Stderr
	return c
}
