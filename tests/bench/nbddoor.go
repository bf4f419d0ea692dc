package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// measureNBDDoor compares the bare NBD door with nbdkit's memory plugin and go-nbd's server, all on memory, with one
// connection and with four.
func measureNBDDoor(ctx context.Context, o options) (table string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := nbdServers(ctx, dir)
	defer func() { err = errors.Join(err, stopAll(servers)) }()
	if err != nil {
		return "", err
	}
	var names []string
	var jobs []cell
	for _, connections := range []int{1, 4} {
		for _, c := range slices.Concat(cells, []cell{{"randread 4k qd1", []string{"--rw=randread", "--bs=4k", "--iodepth=1"}}}) {
			if connections > 1 {
				c.name += ", 4 connections"
				c.args = append(slices.Clone(c.args), "--numjobs=4", "--group_reporting")
			}
			names, jobs = append(names, c.name), append(jobs, c)
		}
	}
	return contest{job: "nbd-door", servers: servers, cells: names,
		load: func(ctx context.Context, p *process, i int) (figure, error) {
			if p.name == "go-nbd" && strings.Contains(jobs[i].name, "fsync") {
				return figure{}, errNoFlush
			}
			return p.watch(func() (float64, time.Duration, error) {
				uri := "nbd://" + p.addr + "/v"
				rate, err := fio(ctx, &server{name: p.name, uri: uri}, jobs[i], o.seconds)
				d := time.Duration(o.seconds) * time.Second
				return rate * d.Seconds(), d, err
			})
		}}.table(ctx, o)
}

// errNoFlush is why a server has no figure in some cells.
var errNoFlush = errors.New("the server has no flush")

func nbdServers(ctx context.Context, dir string) (all []*process, err error) {
	door, err := buildTool(ctx, dir, ".", "./tests/bench/door")
	if err != nil {
		return nil, err
	}
	peers, err := buildTool(ctx, dir, "tests/peers", ".")
	if err != nil {
		return nil, err
	}
	size := fmt.Sprint(exportBytes)
	for _, s := range []struct {
		name string
		argv func(addr, port string) []string
	}{
		{"weir bare", func(addr, _ string) []string { return []string{door, "nbd", addr, size} }},
		{"nbdkit memory", func(_, port string) []string { return nbdkit(port, "memory", size) }},
		{"go-nbd", func(addr, _ string) []string { return []string{peers, "nbd", addr, size} }},
	} {
		addr, port, err := freePort()
		if err != nil {
			return all, err
		}
		p, err := startProcess(ctx, s.name, addr, s.argv(addr, port)...)
		if err != nil {
			return all, fmt.Errorf("start %s: %w", s.name, err)
		}
		all = append(all, p)
		uri := "nbd://" + addr + "/v"
		if err := fill(ctx, &server{name: s.name, uri: uri}); err != nil {
			return all, err
		}
	}
	return all, nil
}
