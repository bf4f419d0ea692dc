package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/export"
)

// exportCommand is weir snapshot export.
func exportCommand(r *remote) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "export VOLUME@POINT FILE", Short: "Copy a point of a volume into an image, or to standard output as -", Args: cobra.ExactArgs(2),
		Long: "Writes a raw image that is sparse where the volume is zero, or with --format qcow2 what qemu-img makes of it; FILE - is\n" +
			"standard output, raw. The content is compared with the state hash of the point while it goes: if it differs, the\n" +
			"command fails and leaves no file. The point is kept meanwhile, as a clone that weir clone list shows.",
		RunE: func(c *cobra.Command, args []string) error {
			d, err := r.connect()
			if err != nil {
				return err
			}
			defer d.Close()
			sink, err := newSink(c, args[1], format)
			if err != nil {
				return err
			}
			b := newBar(c.ErrOrStderr(), r.json)
			defer b.close()
			return errors.Join(exportPoint(c.Context(), d, args[0], sink, b), sink.Close())
		},
	}
	c.Flags().StringVar(&format, "format", "raw", "raw or qcow2")
	return c
}

type closingSink interface {
	export.Sink
	io.Closer
}

func newSink(c *cobra.Command, file, format string) (closingSink, error) {
	switch {
	case format == "raw" && file == "-":
		return export.NewPipe(c.OutOrStdout()), nil
	case format == "raw":
		s, err := export.NewFile(file)
		return s, taken(err)
	case format == "qcow2" && file == "-":
		return nil, fmt.Errorf("%w: qcow2 can not be written to a pipe", errUsage)
	case format == "qcow2":
		s, err := export.NewQCOW2(c.Context(), file)
		if errors.Is(err, export.ErrNoTool) {
			return nil, api.Advise(err, "install it, or export raw and convert the image where it is installed")
		}
		return s, taken(err)
	}
	return nil, fmt.Errorf("%w: format %q is neither raw nor qcow2", errUsage, format)
}

// taken says what to do about a file that is there already.
func taken(err error) error {
	if errors.Is(err, os.ErrExist) {
		return api.Advise(fmt.Errorf("%w: %w", api.ErrConflict, err), "give another name, or remove the file first")
	}
	return err
}

// exportPoint serves the point read-only for as long as it takes.
func exportPoint(ctx context.Context, d *client.Client, what string, to export.Sink, b *bar) error {
	group, point, err := pointOf(ctx, d, what)
	if err != nil {
		return err
	}
	volume, _, _ := strings.Cut(what, "@")
	clone, err := d.CreateClone(ctx, api.CloneCreate{Group: group, Point: point, Volumes: []string{volume}})
	if err != nil {
		return err
	}
	err = exportClone(ctx, d, clone, to, b)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, d.DeleteClone(end, clone.Name, false))
}

func exportClone(ctx context.Context, d *client.Client, clone api.Clone, to export.Sink, b *bar) error {
	v, err := exportVolume(ctx, d, clone)
	if err != nil {
		return err
	}
	name := clone.Volumes[0].Volume
	report := func(n int64) {
		b.report(api.Progress{What: "exporting " + name, Done: n, Total: v.Size, Unit: "bytes"})
	}
	err = export.Run(ctx, cloneSource{d, clone.Name, name}, v, to, report)
	if errors.Is(err, export.ErrMismatch) {
		return api.Advise(fmt.Errorf("%w: %w", api.ErrDiffers, err), "weir verify compares both sides and names what differs")
	}
	return err
}

// exportVolume finds what the volume must hash to.
func exportVolume(ctx context.Context, d *client.Client, clone api.Clone) (export.Volume, error) {
	p, err := d.Snapshot(ctx, clone.Group, fmt.Sprint(clone.Point.End))
	if err != nil {
		return export.Volume{}, err
	}
	for _, v := range p.Volumes {
		if v.Name == clone.Volumes[0].Volume && p.Point.Digest == clone.Point.Digest {
			return export.ParseVolume(v.ID, v.Size, v.State)
		}
	}
	return export.Volume{}, fmt.Errorf("%w: volume %s in the point at %d", api.ErrNotFound, clone.Volumes[0].Volume, clone.Point.End)
}

// cloneSource reads a volume of a clone by calls to the daemon.
type cloneSource struct {
	d             *client.Client
	clone, volume string
}

var _ export.Source = cloneSource{}

func (s cloneSource) Ranges(ctx context.Context, off int64) ([]export.Range, int64, error) {
	r, err := s.d.CloneRanges(ctx, s.clone, s.volume, off)
	var out []export.Range
	for _, x := range r.Items {
		out = append(out, export.Range{Off: x.Off, Len: x.Len})
	}
	return out, r.Next, err
}

func (s cloneSource) Content(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return s.d.CloneContent(ctx, s.clone, s.volume, off, n)
}
