package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/appliance/demo/trace"
	"github.com/weirstor/weir/target/nbd/client"
)

//go:embed fixture.trace
var fixture []byte

// volume is the name of the demonstration's volume.
const volume = "demo"

// Options of the demonstration. The zero Options are good ones, without the rounds of small updates.
type Options struct {
	Folder  string    // kept at the end; empty: a temporary folder, removed
	Rounds  int       // rounds of small updates after the recorded steps
	Out     io.Writer // what is going on, for people; nil: nothing
	Log     io.Writer // logs of the parts, when Verbose
	Verbose bool
	Hold    bool // stay up at the end until ctx ends
}

// demo is one run.
type demo struct {
	opt    Options
	system *appliance.System
	nbd    *client.Client
	truth  []byte // what the volume must hold
	disk   string
	report Report
}

// Run runs the demonstration. The error is api.ErrDiffers when anything is not what was written.
func Run(ctx context.Context, opt Options) (Report, error) {
	if opt.Out == nil {
		opt.Out = io.Discard
	}
	d := &demo{opt: opt}
	dir := opt.Folder
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "weir-demo-"); err != nil {
			return d.report, err
		}
		defer os.RemoveAll(dir)
	}
	err := d.run(ctx, dir)
	return d.report, err
}

func (d *demo) run(ctx context.Context, dir string) (err error) {
	r, err := trace.NewReader(bytes.NewReader(fixture))
	if err != nil {
		return fmt.Errorf("recorded work: %w", err)
	}
	defer r.Close()
	began := time.Now()
	if err := d.start(ctx, dir, r.Size()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.system.Close()) }()
	if d.nbd, err = client.Dial(d.system.Addresses().NBD, volume); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.nbd.Close()) }()
	if err := d.replay(ctx, r); err != nil {
		return err
	}
	if err := d.update(ctx); err != nil {
		return err
	}
	if err := d.check(ctx); err != nil {
		return err
	}
	d.report.finish(d.system.Status(), time.Since(began))
	if err := d.report.Print(d.opt.Out); err != nil {
		return err
	}
	if d.opt.Hold {
		d.say("\nthe page is at %s until you press Ctrl-C", d.system.Addresses().Page)
		<-ctx.Done()
	}
	return nil
}

// start starts gateway and provider with one volume and one disk.
func (d *demo) start(ctx context.Context, dir string, size int64) error {
	d.truth = make([]byte, size)
	d.disk = filepath.Join(dir, "disk.img")
	cfg := config.Default()
	cfg.Data = filepath.Join(dir, "data")
	cfg.NBD, cfg.ISCSI, cfg.Admin = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.LogBudget = 1 << 30
	cfg.Volumes = []config.Volume{{Name: volume, Size: config.Size(size)}}
	cfg.Disks = []config.Disk{{Volume: volume, Kind: "raw", Place: d.disk}}
	log := slog.New(slog.DiscardHandler)
	if d.opt.Verbose && d.opt.Log != nil {
		log = slog.New(slog.NewTextHandler(d.opt.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	d.say("starting a gateway and a provider on loopback, data in %s", dir)
	var err error
	if d.system, err = appliance.Start(ctx, api.RoleAll, cfg, log); err != nil {
		return err
	}
	a := d.system.Addresses()
	d.report.Addresses = a
	d.say("  NBD nbd://%s/%s   iSCSI %s   page %s", a.NBD, volume, a.ISCSI, a.Page)
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.opt.Out, format+"\n", args...) }
