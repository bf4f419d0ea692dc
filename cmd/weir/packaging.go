package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/lab"
)

// packaging adds the settings of packaging.
func (f *daemonFlags) packaging(c *cobra.Command) {
	p := c.Flags()
	p.TextVar(&f.flags.Sensitivity, "sensitivity", f.flags.Sensitivity, "how hard packaging looks for fewer bytes: fast, balanced, thorough")
	p.StringVar(&f.flags.Model, "model", "", "`FILE` of the model that decides about packaging (default: the shipped one)")
	p.Var(&f.flags.IndexBytes, "index-bytes", "memory of the index of earlier content; 0: 0.1 % of the volumes' size and 32 MiB")
}

func (f *daemonFlags) packagingSettings(cfg *config.Config, given func(string) bool) {
	if given("sensitivity") {
		cfg.Sensitivity = f.flags.Sensitivity
	}
	if given("model") {
		cfg.Model = f.flags.Model
	}
	if given("index-bytes") {
		cfg.IndexBytes = f.flags.IndexBytes
	}
}

// sensitivityCommand shows or sets how hard packaging looks at a volume.
func sensitivityCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "sensitivity NAME [fast|balanced|thorough]", Short: "Show or set how hard packaging looks for fewer bytes", Args: cobra.RangeArgs(1, 2),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Packaging, error) {
			if len(args) == 1 {
				return d.Packaging(c.Context(), args[0])
			}
			return d.SetPackaging(c.Context(), args[0], api.Packaging{Sensitivity: args[1]})
		}, func(p *printer, v api.Packaging) { p.line("%s", v.Sensitivity) }),
	}
}

func traceCommand() *cobra.Command {
	r := &remote{}
	var limit time.Duration
	bytes := config.Size(16 << 20)
	record := &cobra.Command{
		Use: "record", Short: "Record the decisions of packaging into a file on the gateway", Args: cobra.NoArgs,
		Long: "Records, for each changed run and each column, its features and what every answer would have cost. The file holds\n" +
			"numbers only: no content, no names, no addresses. While it records, packaging takes several times its processor time.",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) (api.TraceRecorded, error) {
			b := newBar(c.ErrOrStderr(), r.json)
			defer b.close()
			return d.RecordTrace(c.Context(), limit, int64(bytes), b.report)
		}, func(p *printer, t api.TraceRecorded) {
			p.line("%s: %d epochs, %d runs, %d columns, %s in %.1f s", t.Path, t.Epochs, t.Runs, t.Columns, size(t.Bytes), t.Seconds)
			if t.Dropped > 0 {
				p.line("the file was full: %d decisions are not in it", t.Dropped)
			}
		}),
	}
	r.flags(record)
	record.Flags().DurationVar(&limit, "for", time.Minute, "how long")
	record.Flags().Var(&bytes, "max-bytes", "largest size of the file")
	c := &cobra.Command{Use: "trace", Short: "Record what packaging decides, and price it: record, replay"}
	c.AddCommand(record, replayCommand())
	return c
}

// showDecisions prints what packaging decided; nothing where there is nothing to say.
func showDecisions(p *printer, list []api.Decision) {
	if len(list) == 0 {
		return
	}
	p.line("\npackaging decided, the latest first:")
	p.row("FROM", "BYTES", "CLASS", "ENCODING", "SENT", "SAME", "ZERO", "COPY", "REPEAT", "STREAM", "LITERAL", "LOOKED", "BECAUSE")
	for _, d := range list {
		f := d.From
		p.row(d.Offset, d.Length, d.Class, d.Encoding, d.Out, f.Same, f.Zero, f.Copy, f.Repeat, f.Stream, f.Literal, d.Search,
			orDash(strings.Join(d.Why, ", ")))
	}
}

// replayCommand prices a trace.
func replayCommand() *cobra.Command {
	var asJSON bool
	var model string
	c := &cobra.Command{
		Use: "replay TRACE...", Short: "Price recorded work as whole blocks, as it was sent, and by other decisions", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := lab.Replay(model, args)
			if err != nil {
				return err
			}
			return printEither(c, asJSON, r, func(p *printer) { showReplayed(p, r) })
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&model, "model", "", "judge the model in this `FILE` (default: the shipped one)")
	return c
}

func showReplayed(p *printer, r *lab.Replayed) {
	p.line("%d epochs, %s changed", r.Epochs, size(r.Changed))
	if !r.Complete {
		p.line("a trace was cut off: what is behind is not here")
	}
	showPrices(p, "SENT AS", r.Rows)
	p.line("\nwhere copies are looked for (literals and tokens, before they share a stream):")
	showPrices(p, "SEARCH", r.Runs)
	p.line("\nhow columns are compressed:")
	showPrices(p, "COMPRESSOR", r.Columns)
}

func showPrices(p *printer, head string, rows []lab.Price) {
	p.row(head, "BYTES", "CPU", "")
	for _, x := range rows {
		work := "-"
		if x.Work > 0 {
			work = x.Work.Round(time.Millisecond).String()
		}
		p.row(x.Way, x.Bytes, work, x.Note)
	}
}

// benchCommand prices what is at hand.
func benchCommand() *cobra.Command {
	var asJSON bool
	var images, model string
	wire := &cobra.Command{
		Use: "wire --images OLD NEW", Short: "Price the difference between two images of a volume, by several ways to send it", Args: cobra.ExactArgs(1),
		Long: "Says what it costs to send what differs between two images, files or devices: as whole blocks of 4 KiB, 64 KiB and\n" +
			"1 MiB, with and without zstd, by Weir's packaging at each sensitivity, and by zstd --patch-from, which needs the old\n" +
			"image in memory, if zstd is installed. Only reads.",
		Example: "  weir bench wire --images monday.img tuesday.img",
		RunE: func(c *cobra.Command, args []string) error {
			v, err := lab.Images(c.Context(), images, args[0], model)
			if err != nil {
				return err
			}
			return printEither(c, asJSON, v, func(p *printer) {
				p.line("%s changed; file system: %s", size(v.Changed), orDash(v.FileSystem))
				showPrices(p, "SENT AS", v.Rows)
				p.line("")
				showChunks(p, v.Classes)
			})
		},
	}
	f := wire.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&images, "images", "", "the `OLD` image; the new one is the argument")
	f.StringVar(&model, "model", "", "`FILE` of the model that decides (default: the shipped one)")
	_ = wire.MarkFlagRequired("images")
	c := &cobra.Command{Use: "bench", Short: "Price workloads: wire"}
	c.AddCommand(wire)
	return c
}
