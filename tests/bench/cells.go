package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
)

// cell is one fio job.
type cell struct {
	name string
	args []string
}

// cells are those by which the servers are compared.
var cells = []cell{
	{"randwrite 4k qd1", []string{"--rw=randwrite", "--bs=4k", "--iodepth=1"}},
	{"randwrite 4k qd32", []string{"--rw=randwrite", "--bs=4k", "--iodepth=32"}},
	{"randread 4k qd32", []string{"--rw=randread", "--bs=4k", "--iodepth=32"}},
	{"randrw 4k qd32", []string{"--rw=randrw", "--bs=4k", "--iodepth=32"}},
	{"seq write 128k qd8", []string{"--rw=write", "--bs=128k", "--iodepth=8"}},
	{"seq read 128k qd8", []string{"--rw=read", "--bs=128k", "--iodepth=8"}},
	{"seq write 1m qd4", []string{"--rw=write", "--bs=1m", "--iodepth=4"}},
	{"randwrite 4k qd1, fsync each", []string{"--rw=randwrite", "--bs=4k", "--iodepth=1", "--fsync=1"}},
	{"randwrite 4k qd32, fsync every 32", []string{"--rw=randwrite", "--bs=4k", "--iodepth=32", "--fsync=32"}},
}

// fio runs c on s for a number of seconds, or once over the export when seconds is 0, and returns the requests per
// second, reads and writes together.
func fio(ctx context.Context, s *server, c cell, seconds int) (rate float64, err error) {
	args := append([]string{"--name=cell", "--ioengine=nbd", "--uri=" + s.uri, "--size=1g", "--randrepeat=0",
		"--norandommap", "--refill_buffers=0", "--output-format=json"}, c.args...)
	if seconds > 0 {
		args = append(args, "--time_based", fmt.Sprintf("--runtime=%d", seconds))
	}
	if s.settle != nil {
		defer func() { err = errors.Join(err, s.settle(ctx)) }()
	}
	cmd := exec.CommandContext(ctx, "fio", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("fio %s on %s: %w\n%s", c.name, s.name, err, out)
	}
	var result struct {
		Jobs []struct {
			Error int
			Read  struct{ IOPS float64 }
			Write struct{ IOPS float64 }
		}
	}
	// fio prints warnings before the JSON text.
	if err := json.Unmarshal(out[max(0, strings.IndexByte(string(out), '{')):], &result); err != nil {
		return 0, fmt.Errorf("fio's answer: %w", err)
	}
	if len(result.Jobs) != 1 || result.Jobs[0].Error != 0 {
		return 0, fmt.Errorf("fio %s on %s: %s", c.name, s.name, out)
	}
	return result.Jobs[0].Read.IOPS + result.Jobs[0].Write.IOPS, nil
}

// measure runs the wanted cells on the servers with these names, or on all, and returns the table.
func measure(ctx context.Context, o options, job string, want func(cell) bool, only ...string) (table string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	started, err := startServers(ctx, o, dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stopServers(started)) }()
	servers := slices.DeleteFunc(slices.Clone(started), func(s *server) bool {
		return len(only) > 0 && !slices.Contains(only, s.name)
	})
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench -seconds %d -rounds %d %s`, %s\n\n", o.seconds, o.rounds, job, machine())
	peers := slices.DeleteFunc([]string{"nbdkit file", "qemu-nbd"}, func(n string) bool {
		return !slices.Contains(names(servers), n)
	})
	head := append([]string{"requests/s"}, names(servers)...)
	for _, p := range peers {
		head = append(head, "weir ÷ "+p)
	}
	row(&b, head)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	for _, c := range cells {
		if !want(c) {
			continue
		}
		rates, err := measureCell(ctx, o, servers, c)
		if err != nil {
			return "", err
		}
		line := []string{c.name}
		for i := range servers {
			line = append(line, fmt.Sprintf("%.0f", median(rates[i])))
		}
		for _, p := range peers {
			line = append(line, ratio(rates, servers, p))
		}
		row(&b, line)
	}
	return b.String(), nil
}

// sustainedSeconds is longer than any burst that a log of 4 GiB takes at the rates of these cells.
const sustainedSeconds = 60

// measureSustained runs the cells that write most for longer than the log has room, beside nbdkit's file plugin.
func measureSustained(ctx context.Context, o options) (string, error) {
	o.seconds, o.rounds = sustainedSeconds, 1
	return measure(ctx, o, "sustained", func(c cell) bool {
		return c.name == "randwrite 4k qd32" || c.name == "seq write 1m qd4"
	}, "nbdkit file", "weir")
}

// measureCells runs all cells on all servers.
func measureCells(ctx context.Context, o options) (string, error) {
	return measure(ctx, o, "cells", func(c cell) bool { return strings.Contains(c.name, o.cells) })
}

// measureCell returns the rates of each server, one for each round.
func measureCell(ctx context.Context, o options, servers []*server, c cell) ([][]float64, error) {
	rates := make([][]float64, len(servers))
	progress := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(progress, c.name)
	for range o.rounds {
		for i, s := range servers {
			rate, err := fio(ctx, s, c, o.seconds)
			if err != nil {
				return nil, err
			}
			rates[i] = append(rates[i], rate)
		}
	}
	for i, s := range servers {
		fmt.Fprintf(progress, "\t%s %.0f", s.name, median(rates[i]))
	}
	fmt.Fprintln(progress)
	return rates, progress.Flush()
}

// ratio is the median, over the rounds, of our rate by that of the server called name.
func ratio(rates [][]float64, servers []*server, name string) string {
	other := slices.IndexFunc(servers, func(s *server) bool { return s.name == name })
	ours := len(servers) - 1
	var all []float64
	for round := range rates[ours] {
		all = append(all, rates[ours][round]/rates[other][round])
	}
	return fmt.Sprintf("%.2f", median(all))
}

func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func names(servers []*server) []string {
	var all []string
	for _, s := range servers {
		all = append(all, s.name)
	}
	return all
}

func row(b *strings.Builder, columns []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(columns, " | "))
}
