package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func waitCommand() *cobra.Command {
	r := &remote{}
	var limit time.Duration
	c := &cobra.Command{
		Use: "wait VOLUME", Short: "Wait until what was written so far is committed and on every disk", Args: cobra.ExactArgs(1),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.WaitResult, error) {
			b := newBar(c.ErrOrStderr(), r.json)
			defer b.close()
			return d.Wait(c.Context(), args[0], limit, b.report)
		}, func(p *printer, w api.WaitResult) {
			p.line("%s: point %d is committed and on %d disks, after %.1f s", w.Volume, w.Point.End, len(w.Disks), w.Seconds)
		}),
	}
	r.flags(c)
	c.Flags().DurationVar(&limit, "timeout", 0, "give up after this time (default: never)")
	return c
}

func verifyCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "verify [VOLUME]", Short: "Compare volumes on both sides, and their disks, byte for byte by hash", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b := newBar(c.ErrOrStderr(), r.json)
			var v api.VerifyResult
			err := r.do(func(d *client.Client) (err error) {
				defer b.close()
				v, err = d.Verify(c.Context(), strings.Join(args, ""), b.report)
				return err
			})
			if err != nil {
				return err
			}
			err = r.print(c, v, func(p *printer) { showVerify(p, v) })
			if !v.Equal {
				err = errors.Join(err, fmt.Errorf("%w: see above", api.ErrDiffers))
			}
			return err
		},
	}
	r.flags(c)
	return c
}

func showVerify(p *printer, r api.VerifyResult) {
	for _, v := range r.Volumes {
		verdict := "equal on both sides"
		if !v.Equal {
			verdict = "DIFFERS"
		}
		p.row("volume "+v.Volume, "point", v.Point.End, verdict, v.Gateway)
		if v.Error != "" {
			p.line("  %s", v.Error)
		}
		if !v.Equal {
			p.line("  provider: %s", strings.Join(v.Provider, ", "))
		}
		showRanges(p, v.Differ)
	}
	for _, d := range r.Disks {
		showDiskReport(p, d)
	}
}

func explainCommand() *cobra.Command {
	r := &remote{}
	var part, file string
	c := &cobra.Command{
		Use: "explain VOLUME[@POINT]", Short: "Say what a range of a volume is, and how its changes were classified and sent", Args: cobra.ExactArgs(1),
		Long: "Says which parts of which file system lie in the range, which blocks the newest point, or the one given by name or\n" +
			"end, changed there and of what class they are, and what the latest epochs cost.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Explanation, error) {
			if file != "" {
				return explainFile(c.Context(), d, args[0], file)
			}
			off, n, err := parseRange(part)
			if err != nil {
				return api.Explanation{}, err
			}
			return d.Explain(c.Context(), args[0], off, n)
		}, showExplanation),
	}
	r.flags(c)
	c.Flags().StringVar(&part, "range", "", "bytes to look at, as `OFF+LEN`, for example 1G+64K (default: the whole volume)")
	c.Flags().StringVar(&file, "file", "", "`PATH` of a file on the volume to look at instead")
	c.MarkFlagsMutuallyExclusive("range", "file")
	return c
}

// parseRange reads OFF+LEN; nothing is everything.
func parseRange(s string) (off, n int64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	first, length, ok := strings.Cut(s, "+")
	if !ok {
		return 0, 0, fmt.Errorf("%w: range %q is not OFF+LEN", errUsage, s)
	}
	if off, err = parseSize(first); err != nil {
		return 0, 0, err
	}
	if n, err = parseSize(length); err == nil && n == 0 {
		err = fmt.Errorf("%w: range %q is empty", errUsage, s)
	}
	return off, n, err
}

func showExplanation(p *printer, e api.Explanation) {
	p.line("volume %s, %s at %d", e.Volume, size(e.Range.Len), e.Range.Off)
	for _, n := range e.Notes {
		p.line("  %s", n)
	}
	if len(e.Parts) > 0 {
		p.line("")
		p.row("FROM", "BYTES", "WHAT", "FILE")
		for _, x := range e.Parts {
			p.row(x.Range.Off, x.Range.Len, x.Region, orDash(x.Path))
		}
	}
	if e.Changes != nil {
		showChanges(p, e.Changes)
	}
	showDecisions(p, e.Decisions)
	for _, x := range e.Epochs {
		p.line("\nepoch that ends at %d %s: hosts wrote %s, packs %s", x.Point.End, x.Name, size(x.HostBytes), size(x.WireBytes))
		if len(x.Chunks) > 0 {
			showChunks(p, x.Chunks)
		}
	}
	if len(e.Chunks) > 0 {
		p.line("\nsince the start:")
		showChunks(p, e.Chunks)
	}
}

func showChanges(p *printer, c *api.ExplainChanges) {
	const shown = 40
	p.line("\npoint that ends at %d changed:", c.Point.End)
	switch {
	case !c.Complete && c.Since != nil:
		p.line("  the point before is not kept: everything since the one that ends at %d is listed", c.Since.End)
	case !c.Complete:
		p.line("  no earlier point is kept: everything that the volume holds is listed")
	}
	if len(c.Totals) == 0 {
		p.line("  nothing in the range")
		return
	}
	p.row("CLASS", "CHUNKS", "CONTENT")
	for _, t := range c.Totals {
		p.row(t.Class, t.Chunks, usize(t.Bytes))
	}
	p.line("")
	p.row("FROM", "BYTES", "CLASS", "")
	for _, x := range c.Chunks[:min(shown, len(c.Chunks))] {
		zero := ""
		if x.Zero {
			zero = "zeroes"
		}
		p.row(x.Offset, x.Length, x.Class, zero)
	}
	if more := uint64(max(len(c.Chunks)-shown, 0)) + c.Omitted; more > 0 {
		p.line("  and %d more; --range narrows it, --json lists up to %d", more, len(c.Chunks))
	}
}
