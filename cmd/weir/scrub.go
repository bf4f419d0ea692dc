package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func scrubCommand() *cobra.Command {
	r := &remote{}
	var rate string
	c := &cobra.Command{
		Use: "scrub", Short: "Read everything that the provider nodes store, and name what is damaged", Args: cobra.NoArgs,
		Long: "Has every provider node read all of its packs and its index. What is damaged is repaired from another replica;\n" +
			"what can not be is named by volume, range and points. Exit code 6 when something is damaged or a node was not read.",
		RunE: func(c *cobra.Command, _ []string) error {
			var limit int64
			if rate != "" {
				var err error
				if limit, err = parseSize(rate); err != nil {
					return err
				}
			}
			b := newBar(c.ErrOrStderr(), r.json)
			var v api.ScrubResult
			err := r.do(func(d *client.Client) (err error) {
				defer b.close()
				v, err = d.Scrub(c.Context(), limit, b.report)
				return err
			})
			if err != nil {
				return err
			}
			err = r.print(c, v, func(p *printer) { showScrub(p, v) })
			if !v.Sound {
				err = errors.Join(err, fmt.Errorf("%w: see above", api.ErrDiffers))
			}
			return err
		},
	}
	r.flags(c)
	c.Flags().StringVar(&rate, "rate", "", "read at most so much a second on each node, for example `50M` (default: no limit)")
	return c
}

func showScrub(p *printer, r api.ScrubResult) {
	for _, n := range r.Nodes {
		verdict := "sound"
		switch {
		case n.Error != "":
			verdict = "NOT READ"
		case len(n.Damages) > 0:
			verdict = "DAMAGED"
		}
		p.row("node "+n.Node, fmt.Sprintf("%d packs", n.Packs), usize(n.Bytes), verdict)
		if n.Repaired > 0 {
			p.line("  %s were damaged and are repaired from another replica", usize(n.Repaired))
		}
		if n.Error != "" {
			p.line("  %s", n.Error)
		}
		for _, d := range n.Damages {
			p.line("  volume %s: %d bytes at %d, at %d points that end at %v: %s", d.Volume, d.Range.Len, d.Range.Off, len(d.Points), d.Points, d.Error)
		}
		if n.Omitted > 0 {
			p.line("  and %d more", n.Omitted)
		}
	}
}
