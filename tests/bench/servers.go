package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
)

const (
	exportBytes = 1 << 30
	settleMax   = 30 * time.Second // that one run's work may go on behind it, before the next run begins all the same
	drainedLog  = 64 << 20         // bytes in the log from which on it counts as empty
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
	d, err := weirUp(ctx, o, filepath.Join(dir, "weir"), "--disk", "v:raw:"+filepath.Join(dir, "weir.raw"))
	if err != nil {
		return nil, err
	}
	return &server{name: "weir", uri: uriOf(d), stop: d.Stop, settle: func(ctx context.Context) error { return settled(ctx, d, true) }}, nil
}

// weirUp starts `weir up` with the volume v and its data in dir, which must be new.
func weirUp(ctx context.Context, o options, dir string, args ...string) (*harness.Daemon, error) {
	return harness.Spec{
		Binary: o.binary, Data: dir, Log: dir + ".log",
		Args: append([]string{"up", "--nbd", "127.0.0.1:0", "--iscsi", "off", "--admin", "127.0.0.1:0",
			"--volume", fmt.Sprintf("v:%d", exportBytes)}, args...),
	}.Start(ctx)
}

func uriOf(d *harness.Daemon) string { return "nbd://" + d.Addresses.NBD + "/v" }

// settled waits until what was written is in the base of the volume and, with replication, on the disk that follows; at
// most settleMax. What takes longer is told and left alone.
func settled(ctx context.Context, d *harness.Daemon, replication bool) error {
	end := time.Now().Add(settleMax)
	if replication {
		_, err := d.Client.Wait(ctx, "v", settleMax, nil)
		if errors.Is(err, api.ErrTimeout) && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "weir is still busy with the last run:", err)
			return nil
		}
		if err != nil {
			return err
		}
	}
	for time.Now().Before(end) {
		st, err := d.Client.Status(ctx)
		if err != nil {
			return err
		}
		if len(st.Groups) == 1 && st.Groups[0].Log.UsedBytes <= drainedLog {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second / 10):
		}
	}
	fmt.Fprintln(os.Stderr, "weir still destages what the last run wrote")
	return nil
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
