package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// latencyCell writes 4 KiB at depth 1, 4000 times a second: a pace that every server holds, below the one at which
// background work waits for a pause of the doors, so that all of it runs beside the writes.
var latencyCell = cell{"randwrite 4k qd1, 4000/s", []string{"--rw=randwrite", "--bs=4k", "--iodepth=1", "--rate_iops=4000", "--refill_buffers=1"}}

// latencyModes are what runs beside the writes. The first one is what the others are compared with.
var latencyModes = []struct {
	name string
	args func(dir string) []string
}{
	{"no sealing, replication off", func(string) []string { return []string{"--replication", "off", "--epoch", "1h"} }},
	{"an epoch each second and destage, replication off", func(string) []string { return []string{"--replication", "off", "--epoch", "1s"} }},
	{"an epoch each second, packaged, replicated, on a disk", func(dir string) []string {
		return []string{"--epoch", "1s", "--disk", "v:raw:" + filepath.Join(dir, "weir.raw")}
	}},
}

var percentiles = []string{"50.000000", "99.000000", "99.900000"}

// measureLatency measures how long a 4 KiB write takes beside sealing, destaging and packaging.
func measureLatency(ctx context.Context, o options) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench -seconds %d -rounds %d latency`, %s\n\n", o.seconds, o.rounds, machine())
	row(&b, []string{latencyCell.name, "median, µs", "p99, µs", "p99.9, µs", "p99 ÷ that without sealing"})
	b.WriteString("|---|---:|---:|---:|---:|\n")
	took := make([][][]float64, len(latencyModes)) // µs by mode, percentile, round
	for i := range took {
		took[i] = make([][]float64, len(percentiles))
	}
	for round := range o.rounds {
		for i := range latencyModes {
			p, err := latencyRun(ctx, o, i)
			if err != nil {
				return "", err
			}
			for k := range percentiles {
				took[i][k] = append(took[i][k], p[k])
			}
			fmt.Printf("latency, round %d, %s: median %.0f, p99 %.0f, p99.9 %.0f µs\n", round+1, latencyModes[i].name, p[0], p[1], p[2])
		}
	}
	for i, m := range latencyModes {
		line := []string{m.name}
		for k := range percentiles {
			line = append(line, fmt.Sprintf("%.0f", median(took[i][k])))
		}
		var ratios []float64
		for round := range o.rounds {
			ratios = append(ratios, took[i][1][round]/took[0][1][round])
		}
		row(&b, append(line, fmt.Sprintf("%.2f", median(ratios))))
	}
	return b.String(), nil
}

// latencyRun measures one mode on a server of its own and returns the percentiles in µs.
func latencyRun(ctx context.Context, o options, mode int) (took [3]float64, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := weirUp(ctx, o, filepath.Join(dir, "weir"), latencyModes[mode].args(dir)...)
	if err != nil {
		return took, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	r, err := runFio(ctx, uriOf(d), latencyCell, o.seconds)
	for k, p := range percentiles {
		took[k] = r.Write.Latency.Percentile[p] / 1000
	}
	return took, err
}
