package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirstor/weir/tests/harness"
	"github.com/weirstor/weir/tests/wire"
)

// reference holds, in KiB, what a zstd stream of sparse patches and pages, and zstd --patch-from with the whole old
// image in memory, need for each step on ext4; measured once, offline.
var reference = map[string][2]float64{
	"01-touch": {304, 166}, "02-chmod": {116, 145}, "03-edit": {84, 104}, "04-inplace": {4.9, 104},
	"05-sqlite-update": {2392, 134}, "06-sqlite-checkpoint": {1.9, 99}, "07-pgbench": {1021, 1061},
	"08-pg-checkpoint": {819, 1154}, "09-log": {60, 153}, "10-log": {59, 155}, "11-git": {8713, 4898},
	"12-copy": {8462, 507}, "13-random": {29300, 29405}, "14-delete": {144, 218},
}

func measureWire(ctx context.Context, o options) (table string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := harness.Spec{
		Binary: o.binary, Data: filepath.Join(dir, "weir"), Log: filepath.Join(dir, "weir.log"),
		Args: []string{"up", "--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0",
			"--volume", "v:1536M", "--epoch", "1h", "--epoch-bytes", "4GiB", "--log-budget", "16GiB"},
	}.Start(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	m, err := harness.Attach(ctx, "nbd://"+d.Addresses.NBD+"/v")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if err := m.Format(ctx); err != nil {
		return "", err
	}
	return stepTable(ctx, d, m.Dir)
}

func stepTable(ctx context.Context, d *harness.Daemon, mnt string) (table string, err error) {
	root, err := harness.Root()
	if err != nil {
		return "", err
	}
	w, err := wire.New(root, mnt)
	if err != nil {
		return "", err
	}
	steps, err := w.Steps(ctx)
	if err != nil {
		return "", err
	}
	if err := w.Prepare(ctx); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, w.Stop(context.WithoutCancel(ctx))) }()
	if err := settle(ctx, d, mnt); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench wire`, %s\n\n", machine())
	row(&b, []string{"step", "host wrote, KiB", "on the wire, KiB", "stream, KiB", "patch-from, KiB"})
	b.WriteString("|---|---:|---:|---:|---:|\n")
	var sum [4]float64
	for _, step := range steps {
		host, sent, err := measureStep(ctx, d, w, step)
		if err != nil {
			return "", err
		}
		figures := [4]float64{host, sent, reference[step][0], reference[step][1]}
		if step != wire.Incompressible {
			for i, f := range figures {
				sum[i] += f
			}
		}
		stepRow(&b, step, figures)
	}
	stepRow(&b, "**sum without "+wire.Incompressible+"**", sum)
	return b.String(), nil
}

func stepRow(b *strings.Builder, name string, figures [4]float64) {
	line := []string{name}
	for _, f := range figures {
		line = append(line, fmt.Sprintf("%.1f", f))
	}
	row(b, line)
	fmt.Println(strings.Join(line, "  "))
}

// measureStep does one step and returns what hosts wrote and what was sent for it, in KiB.
func measureStep(ctx context.Context, d *harness.Daemon, w *wire.Workload, step string) (host, sent float64, err error) {
	hostBefore, sentBefore, err := counters(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	if err := w.Run(ctx, step); err != nil {
		return 0, 0, err
	}
	if err := settle(ctx, d, w.Dir); err != nil {
		return 0, 0, err
	}
	host, sent, err = counters(ctx, d)
	return (host - hostBefore) / 1024, (sent - sentBefore) / 1024, err
}

// settle brings everything that was written so far into one epoch and waits until it is committed.
func settle(ctx context.Context, d *harness.Daemon, mnt string) error {
	if _, err := harness.Run(ctx, "sync", "-f", mnt); err != nil {
		return err
	}
	_, err := d.Client.Wait(ctx, "v", 0, nil)
	return err
}

// counters returns what hosts wrote to the volume and what was sent to the provider, in bytes. They are those of
// weir_host_written_bytes_total and weir_wire_bytes_total, read from the status, which is made anew for each call;
// /metrics may show figures that are a quarter of a second old.
func counters(ctx context.Context, d *harness.Daemon) (host, sent float64, err error) {
	status, err := d.Client.Status(ctx)
	if err != nil {
		return 0, 0, err
	}
	if len(status.Groups) != 1 || len(status.Volumes) != 1 {
		return 0, 0, fmt.Errorf("%d groups and %d volumes, want one of each", len(status.Groups), len(status.Volumes))
	}
	return float64(status.Volumes[0].Host.WrittenBytes), float64(status.Groups[0].Wire.SentBytes), nil
}
