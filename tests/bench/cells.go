package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// measureCells runs the cells on all servers, Weir with replication, and returns the table.
func measureCells(ctx context.Context, o options) (table string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := startServers(ctx, o, dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stopServers(servers)) }()
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench -seconds %d -rounds %d cells`, %s\n\n", o.seconds, o.rounds, machine())
	peers := []string{"nbdkit file", "qemu-nbd"}
	head := append([]string{"requests/s"}, names(servers)...)
	for _, p := range peers {
		head = append(head, "weir ÷ "+p)
	}
	row(&b, head)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	for _, c := range cells {
		if !strings.Contains(c.name, o.cells) {
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
