package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/config"
)

func volumeCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{Use: "volume", Short: "Volumes: create, list, show, resize, delete, access, attach, detach"}
	r.flags(c)
	blockSize := config.DefaultBlockSize
	var image string
	create := &cobra.Command{
		Use: "create NAME SIZE | create NAME --adopt PATH", Short: "Make a volume of zeroes, or of an existing image",
		Long: "Make a volume of zeroes, or with --adopt one that goes on with an existing raw image or block device of the gateway.\n" +
			"The image stays where it is and is the volume from then on; nobody else may use it. Its content goes to the provider\n" +
			"while hosts already read and write: weir volume show and weir status say how far that is, weir wait waits for it.",
		Args: cobra.RangeArgs(1, 2),
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Volume, error) {
			in, err := volumeCreate(args, image, blockSize)
			if err != nil {
				return api.Volume{}, err
			}
			return d.CreateVolume(c.Context(), in)
		}, showVolume),
	}
	create.Flags().StringVar(&image, "adopt", "", "raw image or block device that becomes the volume")
	create.Flags().IntVar(&blockSize, "block-size", blockSize, "logical block, 512 or 4096 bytes")
	var force, drop bool
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Remove a volume with its content on the gateway; points that hold it stay", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !force {
				return api.Advise(fmt.Errorf("%w: the content of volume %s on this gateway will be gone", errUsage, args[0]), "add --yes if that is meant")
			}
			return r.do(func(d *client.Client) error { return d.DeleteVolume(c.Context(), args[0], drop) })
		},
	}
	remove.Flags().BoolVar(&force, "yes", false, "yes, remove it")
	remove.Flags().BoolVar(&drop, "drop-sessions", false, "end the sessions of clients that are attached")
	c.AddCommand(sensitivityCommand(r), create, remove, accessCommand(r), attachCommand(r), detachCommand(),
		&cobra.Command{Use: "list", Short: "List volumes", Args: cobra.NoArgs,
			RunE: calling(r, func(c *cobra.Command, d *client.Client, _ []string) ([]api.Volume, error) {
				return d.Volumes(c.Context())
			}, showVolumes)},
		&cobra.Command{Use: "show NAME", Short: "Show one volume and how to attach it", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Volume, error) {
				return d.Volume(c.Context(), args[0])
			}, showVolume)},
		&cobra.Command{Use: "resize NAME SIZE", Short: "Grow a volume", Args: cobra.ExactArgs(2),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Volume, error) {
				n, err := parseSize(args[1])
				if err != nil {
					return api.Volume{}, err
				}
				return d.ResizeVolume(c.Context(), args[0], n)
			}, showVolume)},
	)
	return c
}

// do calls the daemon for something that answers nothing.
func (r *remote) do(call func(*client.Client) error) error {
	d, err := r.connect()
	if err != nil {
		return err
	}
	defer d.Close()
	return call(d)
}

// volumeCreate is what the arguments of volume create ask for.
func volumeCreate(args []string, image string, blockSize int) (api.VolumeCreate, error) {
	in := api.VolumeCreate{Name: args[0], BlockSize: blockSize}
	var err error
	switch {
	case len(args) == 2:
		in.Size, err = parseSize(args[1])
	case image == "":
		err = fmt.Errorf("%w: the size is missing; usage: weir volume create NAME SIZE, or weir volume create NAME --adopt PATH", errUsage)
	}
	if err == nil && image != "" {
		in.Adopt, err = filepath.Abs(image)
	}
	return in, err
}

func parseSize(s string) (int64, error) {
	n, err := config.ParseSize(s)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	return int64(n), nil
}

func showVolumes(p *printer, list []api.Volume) {
	if len(list) == 0 {
		p.line("no volume yet; make one with: weir volume create NAME 10G")
		return
	}
	p.row("VOLUME", "SIZE", "WRITTEN", "READ", "CLASSES")
	for _, v := range list {
		p.row(v.Name, size(v.Size), usize(v.Host.WrittenBytes), usize(v.Host.ReadBytes), classes(v.Chunks))
	}
}

// classes sums chunks by class.
func classes(chunks []api.ChunkCount) string {
	var order []string
	sum := make(map[string]uint64)
	for _, c := range chunks {
		if _, seen := sum[c.Class]; !seen {
			order = append(order, c.Class)
		}
		sum[c.Class] += c.Bytes
	}
	var out []string
	for _, class := range order {
		if sum[class] > 0 {
			out = append(out, class+" "+usize(sum[class]))
		}
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, ", ")
}

func showVolume(p *printer, v api.Volume) {
	p.row("volume", v.Name)
	p.row("id", v.ID)
	p.row("group", v.Group)
	p.row("size", fmt.Sprintf("%s (%d bytes, blocks of %d)", size(v.Size), v.Size, v.BlockSize))
	p.row("written", fmt.Sprintf("%s in %d writes", usize(v.Host.WrittenBytes), v.Host.WriteOps))
	p.row("read", fmt.Sprintf("%s in %d reads", usize(v.Host.ReadBytes), v.Host.ReadOps))
	if v.Image != "" {
		p.row("image", v.Image)
	}
	if f := v.FirstSync; f != nil {
		p.row("first sync", firstSync(f))
	}
	if v.Attach.NBD != "" {
		p.row("attach NBD", v.Attach.NBD)
	}
	if v.Attach.ISCSI != "" {
		p.row("attach iSCSI", v.Attach.ISCSI)
	}
	if len(v.Chunks) > 0 {
		p.line("")
		showChunks(p, v.Chunks)
	}
}

// firstSync says how far a first sync is, and for how long it will go on if that is known.
func firstSync(f *api.FirstSync) string {
	text := fmt.Sprintf("%s of %s sent (%d %%)", size(f.TotalBytes-f.LeftBytes), size(f.TotalBytes), 100*(f.TotalBytes-f.LeftBytes)/max(f.TotalBytes, 1))
	if f.SecondsLeft == 0 {
		return text + ", time left not known yet"
	}
	return fmt.Sprintf("%s at %s/s, %s left at that rate", text, size(int64(f.BytesPerSecond)), lag(f.SecondsLeft))
}

func showChunks(p *printer, list []api.ChunkCount) {
	p.row("CLASS", "ENCODING", "CHUNKS", "CONTENT", "ON THE WIRE")
	for _, c := range list {
		p.row(c.Class, c.Encoding, c.Chunks, usize(c.Bytes), usize(c.WireBytes))
	}
}
