package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

const (
	exportBytes = 1 << 30
	settleMax   = 30 * time.Minute // for a log of 4 GiB to be brought to the disk on two slow cores
)

// server is one NBD server under measurement.
type server struct {
	name string
	uri  string
	stop func() error

	// settle returns when nothing of earlier runs is under way any more; nil: nothing ever is. Without it the work that
	// one run leaves behind would be counted against the next, and against the other servers.
	settle func(ctx context.Context) error
}

// startServers starts all of them on loopback, each with 1 GiB whose blocks are written, in dir.
func startServers(ctx context.Context, o options, dir string) (all []*server, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, stopServers(all))
			all = nil
		}
	}()
	file, raw := filepath.Join(dir, "nbdkit.raw"), filepath.Join(dir, "qemu.raw")
	for _, f := range []string{file, raw} {
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			return all, err
		}
		if err := os.Truncate(f, exportBytes); err != nil {
			return all, err
		}
	}
	for _, s := range []struct {
		name string
		args func(port string) []string
	}{
		{"nbdkit file", func(port string) []string { return nbdkit(port, "file", file) }},
		{"nbdkit memory", func(port string) []string { return nbdkit(port, "memory", "1G") }},
		{"nbdkit null", func(port string) []string { return nbdkit(port, "null", "1G") }},
		{"qemu-nbd", func(port string) []string {
			return []string{"qemu-nbd", "--persistent", "--shared=0", "--format=raw", "--bind=127.0.0.1", "--port=" + port, raw}
		}},
	} {
		started, err := startForeign(ctx, s.name, s.args)
		if err != nil {
			return all, err
		}
		all = append(all, started)
	}
	ours, err := startWeir(ctx, o, dir)
	if err != nil {
		return all, err
	}
	all = append(all, ours)
	for _, s := range all {
		if err := fill(ctx, s); err != nil {
			return all, err
		}
	}
	return all, nil
}

func nbdkit(port string, args ...string) []string {
	return append([]string{"nbdkit", "--foreground", "--ipaddr=127.0.0.1", "--port=" + port}, args...)
}

func startForeign(ctx context.Context, name string, args func(port string) []string) (*server, error) {
	addr, err := harness.FreeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	argv := args(port)
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, uri: "nbd://" + addr, stop: func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // reports the kill
		return err
	}}
	if err := harness.WaitListening(ctx, addr); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startWeir starts `weir up` with a disk that follows, as people use it.
func startWeir(ctx context.Context, o options, dir string) (*server, error) {
	d, err := harness.Spec{
		Binary: o.binary, Data: filepath.Join(dir, "weir"), Log: filepath.Join(dir, "weir.log"),
		Args: []string{"up", "--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0",
			"--volume", "v:1G", "--disk", "v:raw:" + filepath.Join(dir, "weir.raw")},
	}.Start(ctx)
	if err != nil {
		return nil, err
	}
	settle := func(ctx context.Context) error {
		_, err := d.Client.Wait(ctx, "v", settleMax, nil)
		return err
	}
	return &server{name: "weir", uri: "nbd://" + d.Addresses.NBD + "/v", stop: d.Stop, settle: settle}, nil
}

// fill writes every block once, so that no server answers from holes.
func fill(ctx context.Context, s *server) error {
	_, err := fio(ctx, s, cell{name: "fill", args: []string{"--rw=write", "--bs=1m", "--iodepth=4"}}, 0)
	return err
}

func stopServers(all []*server) error {
	var errs []error
	for _, s := range slices.Backward(all) {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}
