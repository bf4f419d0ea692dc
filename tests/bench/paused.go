package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

// nbdProcess is a process that serves the export at uri.
type nbdProcess struct {
	*process
	uri    string
	settle func(ctx context.Context) error // nil: nothing to wait for
}

// ours makes a running daemon one of the servers of a contest.
func ours(name string, d *harness.Daemon, replication bool) nbdProcess {
	return nbdProcess{process: &process{name: name, addr: d.Addresses.NBD, pid: d.PID(), stop: d.Stop}, uri: uriOf(d),
		settle: func(ctx context.Context) error { return settled(ctx, d, replication) }}
}

// peer starts a server on a file of its own in dir, or on nothing.
func peer(ctx context.Context, dir, name string) (nbdProcess, error) {
	file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".raw")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return nbdProcess{}, err
	}
	if err := os.Truncate(file, exportBytes); err != nil {
		return nbdProcess{}, err
	}
	addr, port, err := freePort()
	if err != nil {
		return nbdProcess{}, err
	}
	argv := map[string][]string{
		"nbdkit file": nbdkit(port, "file", file),
		"nbdkit null": nbdkit(port, "null", fmt.Sprint(exportBytes)),
		"qemu-nbd":    {"qemu-nbd", "--persistent", "--shared=0", "--format=raw", "--bind=127.0.0.1", "--port=" + port, file},
	}[name]
	p, err := startProcess(ctx, name, addr, argv...)
	if err != nil {
		return nbdProcess{}, fmt.Errorf("start %s: %w", name, err)
	}
	return nbdProcess{process: p, uri: "nbd://" + addr}, nil
}

// measurePaused runs all cells with replication off, beside servers that do nothing but write to a file, and beside
// nbdkit's null plugin, which does nothing at all.
func measurePaused(ctx context.Context, o options) (string, error) {
	return duel(ctx, o, "paused", cells, func(dir string) ([]nbdProcess, error) {
		d, err := weirUp(ctx, o, filepath.Join(dir, "weir"), "--replication", "off")
		if err != nil {
			return nil, err
		}
		return withPeers(ctx, dir, []nbdProcess{ours("weir", d, false)}, "nbdkit file", "qemu-nbd", "nbdkit null")
	})
}

// measureCPU measures the processor time of the server for one 4 KiB write: logged and classified, and with all that
// replication does on the same machine.
func measureCPU(ctx context.Context, o options) (string, error) {
	small := slices.DeleteFunc(slices.Clone(cells), func(c cell) bool {
		return !strings.HasPrefix(c.name, "randwrite 4k") || strings.Contains(c.name, "fsync")
	})
	return duel(ctx, o, "cpu", small, func(dir string) ([]nbdProcess, error) {
		paused, err := weirUp(ctx, o, filepath.Join(dir, "paused"), "--replication", "off")
		if err != nil {
			return nil, err
		}
		all := []nbdProcess{ours("weir, replication off", paused, false)}
		d, err := weirUp(ctx, o, filepath.Join(dir, "weir"), "--disk", "v:raw:"+filepath.Join(dir, "weir.raw"))
		if err != nil {
			return all, err
		}
		return withPeers(ctx, dir, append(all, ours("weir", d, true)), "nbdkit file")
	})
}

// withPeers adds servers to all.
func withPeers(ctx context.Context, dir string, all []nbdProcess, names ...string) ([]nbdProcess, error) {
	for _, name := range names {
		p, err := peer(ctx, dir, name)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// duel runs a contest of the servers that start starts, the first one being ours, each with all blocks written before.
// What start returns is stopped, also when it fails. The processor time is that until fio ends; what a server does
// afterwards is waited for and not counted.
func duel(ctx context.Context, o options, job string, list []cell, start func(dir string) ([]nbdProcess, error)) (table string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := start(dir)
	c := contest{job: job}
	byName := make(map[string]nbdProcess)
	for _, s := range servers {
		c.servers, byName[s.name] = append(c.servers, s.process), s
	}
	defer func() { err = errors.Join(err, stopAll(c.servers)) }()
	if err != nil {
		return "", err
	}
	for _, s := range servers {
		fmt.Println("filling", s.name)
		if err := fill(ctx, &server{name: s.name, uri: s.uri, settle: s.settle}); err != nil {
			return "", err
		}
	}
	for _, k := range list {
		c.cells = append(c.cells, k.name)
	}
	c.load = func(ctx context.Context, p *process, i int) (figure, error) {
		s := byName[p.name]
		f, err := p.watch(func() (float64, time.Duration, error) {
			r, err := runFio(ctx, s.uri, list[i], o.seconds)
			d := time.Duration(o.seconds) * time.Second
			return (r.Read.IOPS + r.Write.IOPS) * d.Seconds(), d, err
		})
		if err == nil && s.settle != nil {
			err = s.settle(ctx)
		}
		return f, err
	}
	return c.table(ctx, o)
}
