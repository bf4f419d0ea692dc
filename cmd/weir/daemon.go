package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance"
	"github.com/weirstor/weir/appliance/config"
)

// daemonFlags are the flags of one daemon. Values given on the command line win over the file's.
type daemonFlags struct {
	file    string
	verbose bool
	volumes []string
	disks   []string
	flags   config.Config // as given by flags
}

func (f *daemonFlags) common(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.file, "config", "", "YAML `FILE` with the same settings; flags win over it")
	p.StringVar(&f.flags.Data, "data", "", "`DIR` for everything that is kept; made when it is not there (WEIR_DATA)")
	p.StringVar(&f.flags.Admin, "admin", f.flags.Admin, "`HOST:PORT` of REST API, metrics and page; port 0 takes a free one, off none")
	p.StringVar(&f.flags.AdminTLS, "admin-tls", f.flags.AdminTLS, "TLS at the admin port: auto (outside loopback), on, off")
	p.StringVar(&f.flags.Certs, "certs", "", "`DIR` with ca.crt, node.crt, node.key (default DATA/certs)")
	p.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
}

func (f *daemonFlags) gateway(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.flags.Name, "name", "", "name of the gateway (default: that in its certificate)")
	p.StringArrayVar(&f.volumes, "volume", nil, "volume `NAME:SIZE` to open, made when it is not there; may be repeated")
	p.StringArrayVar(&f.disks, "disk", nil, "disk `VOLUME:KIND:PLACE` that follows a volume; kinds raw, block, nbd; may be repeated")
	p.Var(&f.flags.Epoch, "epoch", "seal an epoch after this time")
	p.Var(&f.flags.EpochBytes, "epoch-bytes", "seal an epoch after so many bytes")
	p.Var(&f.flags.LogBudget, "log-budget", "size of the write log of the group")
	p.Var(&f.flags.Replication, "replication", "on or off")
	f.packaging(c)
	f.doors(c)
}

// config lays defaults, file and flags over each other.
func (f *daemonFlags) config(c *cobra.Command) (config.Config, error) {
	cfg := config.Default()
	if f.file != "" {
		if err := cfg.ReadFile(f.file); err != nil {
			return cfg, fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	given := func(name string) bool { return c.Flags().Changed(name) }
	for name, set := range map[string]func(){
		"data":        func() { cfg.Data = f.flags.Data },
		"admin":       func() { cfg.Admin = f.flags.Admin },
		"admin-tls":   func() { cfg.AdminTLS = f.flags.AdminTLS },
		"certs":       func() { cfg.Certs = f.flags.Certs },
		"name":        func() { cfg.Name = f.flags.Name },
		"epoch":       func() { cfg.Epoch = f.flags.Epoch },
		"epoch-bytes": func() { cfg.EpochBytes = f.flags.EpochBytes },
		"log-budget":  func() { cfg.LogBudget = f.flags.LogBudget },
		"replication": func() { cfg.Replication = f.flags.Replication },
		"providers":   func() { cfg.Providers = f.flags.Providers },
		"takeover":    func() { cfg.Takeover = f.flags.Takeover },
		"listen":      func() { cfg.Listen = f.flags.Listen },
		"advertise":   func() { cfg.Advertise = f.flags.Advertise },
		"bootstrap":   func() { cfg.Bootstrap = f.flags.Bootstrap },
		"join":        func() { cfg.Join = f.flags.Join },
		"replicas":    func() { cfg.Replicas = f.flags.Replicas },
		"keep-last":   func() { cfg.KeepLast = f.flags.KeepLast },
		"serve-nbd":   func() { cfg.ServeNBD = f.flags.ServeNBD },
		"serve-iscsi": func() { cfg.ServeISCSI = f.flags.ServeISCSI },
	} {
		if given(name) {
			set()
		}
	}
	f.doorSettings(&cfg, given)
	f.packagingSettings(&cfg, given)
	if cfg.Data == "" {
		cfg.Data = environment("WEIR_DATA")
	}
	return cfg, f.lists(&cfg)
}

// lists adds the volumes and disks of the flags to those of the file.
func (f *daemonFlags) lists(cfg *config.Config) error {
	for _, s := range f.volumes {
		v, err := config.ParseVolume(s)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		cfg.Volumes = append(cfg.Volumes, v)
	}
	for _, s := range f.disks {
		d, err := config.ParseDisk(s)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		cfg.Disks = append(cfg.Disks, d)
	}
	return nil
}

// run starts the role, says where it is, and ends it in order when the context ends or a part of it fails.
func (f *daemonFlags) run(c *cobra.Command, role api.Role) error {
	cfg, err := f.config(c)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	ready := func(a api.Addresses) { announce(c.OutOrStdout(), role, cfg, a) }
	return appliance.Run(c.Context(), role, cfg, log, ready)
}

// announce tells a person where everything is.
func announce(out io.Writer, role api.Role, cfg config.Config, a api.Addresses) {
	fmt.Fprintf(out, "weir %s is ready, data in %s\n", role, cfg.Data)
	for _, l := range []struct{ what, where string }{
		{"NBD", prefixed("nbd://", a.NBD)}, {"iSCSI", a.ISCSI}, {"provider", a.Provider}, {"page", a.Page},
	} {
		if l.where != "" {
			fmt.Fprintf(out, "  %-9s %s\n", l.what, l.where)
		}
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s + "/"
}

func upCommand() *cobra.Command {
	f := &daemonFlags{flags: config.Default()}
	c := &cobra.Command{
		Use:   "up --data DIR [--volume NAME:SIZE]... [--disk VOLUME:KIND:PLACE]...",
		Short: "Gateway and one-node provider in one process, until SIGTERM",
		Long:  "Runs a gateway and a provider cluster of one node in one process. What exists already is opened, not made again.",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return f.run(c, api.RoleAll) },
	}
	f.common(c)
	f.gateway(c)
	c.Flags().IntVar(&f.flags.KeepLast, "keep-last", 0, "unnamed points that the provider keeps of a new group; 0 is its default, -1 all")
	return c
}

func gatewayCommand() *cobra.Command {
	f := &daemonFlags{flags: config.Default()}
	c := &cobra.Command{
		Use:   "gateway --data DIR --providers HOST:PORT,...",
		Short: "Doors and write path, replicating to a provider cluster",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return f.run(c, api.RoleGateway) },
	}
	f.common(c)
	f.gateway(c)
	c.Flags().StringSliceVar(&f.flags.Providers, "providers", nil, "`HOST:PORT` of some provider nodes; the others are learnt")
	c.Flags().BoolVar(&f.flags.Takeover, "takeover", false, "take the group from another gateway, which is fenced by it")
	return c
}

func providerCommand() *cobra.Command {
	f := &daemonFlags{flags: config.Default()}
	c := &cobra.Command{
		Use:   "provider --data DIR --name N --listen HOST:PORT [--bootstrap | --join HOST:PORT]",
		Short: "A node of the provider cluster",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return f.run(c, api.RoleProvider) },
	}
	f.common(c)
	p := c.Flags()
	p.StringVar(&f.flags.Name, "name", "", "name of the node (default: that in its certificate)")
	p.StringVar(&f.flags.Listen, "listen", f.flags.Listen, "`HOST:PORT` for gateways and other nodes")
	p.StringVar(&f.flags.Advertise, "advertise", "", "`HOST:PORT` at which others reach this node (default: --listen)")
	p.BoolVar(&f.flags.Bootstrap, "bootstrap", false, "begin a new cluster with this node when the folder holds none")
	p.StringVar(&f.flags.Join, "join", "", "`HOST:PORT` of a member to join when the folder holds no membership")
	p.IntVar(&f.flags.Replicas, "replicas", 0, "replication factor of a cluster that is begun here; 0 is the default, 3")
	p.StringVar(&f.flags.ServeNBD, "serve-nbd", f.flags.ServeNBD, "`HOST:PORT` at which this node serves its clones over NBD (see weir snapshot serve)")
	p.StringVar(&f.flags.ServeISCSI, "serve-iscsi", f.flags.ServeISCSI, "the same over iSCSI")
	p.IntVar(&f.flags.KeepLast, "keep-last", 0, "unnamed points that are kept of a new group; 0 is the default, -1 all")
	return c
}
