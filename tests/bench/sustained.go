package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/tests/harness"
)

// A burst is as long as the issue's; the peer, which does not change with time as long as its file is in the page
// cache, gets less.
const (
	burstSeconds = 60
	peerSeconds  = 10
	windowMax    = 10 * time.Second // at the start and at the end of a burst, over which rates are told
)

// bursts are the loads of a burst: fio's one buffer, stamped and written again and again, and fresh random data.
var bursts = []cell{
	{"randwrite 4k qd32, one buffer", []string{"--rw=randwrite", "--bs=4k", "--iodepth=32"}},
	{"randwrite 4k qd32, fresh data", []string{"--rw=randwrite", "--bs=4k", "--iodepth=32", "--refill_buffers=1"}},
	{"seq write 1m qd4, fresh data", []string{"--rw=write", "--bs=1m", "--iodepth=4", "--refill_buffers=1"}},
}

// sample is what a server had done by a moment of a burst.
type sample struct {
	at    time.Time
	host  uint64 // bytes that hosts wrote
	group api.Group
	cpu   time.Duration // of the server
	load  machineLoad
}

// measureSustained writes for a minute with replication on and a disk that follows, and says what the rate was at the
// start and at the end, how far replication came, and what was busy meanwhile.
func measureSustained(ctx context.Context, o options) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench sustained`, %s\n\n", machine())
	row(&b, []string{"burst of 60 s, replication on", "nbdkit file, MB/s", "weir, MB/s", "ratio", "first 10 s", "last 10 s",
		"replicated, MB/s", "wire, MB/s", "log used, MiB", "lag, s", "weir, cores", "all processors busy", "disk busy"})
	b.WriteString("|---" + strings.Repeat("|---:", 12) + "|\n")
	for _, c := range bursts {
		if !strings.Contains(c.name, o.cells) {
			continue
		}
		line, err := burst(ctx, o, c)
		if err != nil {
			return "", err
		}
		fmt.Println(strings.Join(line, "  "))
		row(&b, line)
	}
	return b.String(), nil
}

// burst runs one burst on new servers and returns its line of the table.
func burst(ctx context.Context, o options, c cell) (line []string, err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := peerBurst(ctx, dir, c)
	if err != nil {
		return nil, err
	}
	d, err := weirUp(ctx, o, filepath.Join(dir, "weir"), "--disk", "v:raw:"+filepath.Join(dir, "weir.raw"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Kill()) }()
	list, err := sampled(ctx, d, func() error {
		_, err := runFio(ctx, uriOf(d), c, burstSeconds)
		return err
	})
	if err != nil {
		return nil, err
	}
	return burstLine(c.name, file, list), nil
}

// peerBurst returns the rate of nbdkit's file plugin, in MB/s. The server is gone on return.
func peerBurst(ctx context.Context, dir string, c cell) (rate float64, err error) {
	p, err := peer(ctx, dir, "nbdkit file")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := fill(ctx, &server{name: p.name, uri: p.uri}); err != nil {
		return 0, err
	}
	r, err := runFio(ctx, p.uri, c, peerSeconds)
	return r.Write.IOPS * blockBytes(c) / 1e6, err
}

// blockBytes is the length of a request of c.
func blockBytes(c cell) float64 {
	for _, a := range c.args {
		if a == "--bs=1m" {
			return 1 << 20
		}
	}
	return 4096
}

// sampled takes a sample each second while work runs; the last one is taken when it ends.
func sampled(ctx context.Context, d *harness.Daemon, work func() error) ([]sample, error) {
	done := make(chan error, 1)
	go func() { done <- work() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var list []sample
	for {
		s, err := take(ctx, d)
		if err != nil {
			return nil, errors.Join(err, <-done)
		}
		list = append(list, s)
		select {
		case err := <-done:
			if err != nil {
				return nil, err
			}
			s, err := take(ctx, d)
			return append(list, s), err
		case <-tick.C:
		}
	}
}

func take(ctx context.Context, d *harness.Daemon) (sample, error) {
	st, err := d.Client.Status(ctx)
	if err != nil {
		return sample{}, err
	}
	if len(st.Groups) != 1 || len(st.Volumes) != 1 {
		return sample{}, fmt.Errorf("%d groups and %d volumes, want one of each", len(st.Groups), len(st.Volumes))
	}
	s := sample{at: time.Now(), host: st.Volumes[0].Host.WrittenBytes, group: st.Groups[0]}
	if s.cpu, err = (&process{pid: d.PID()}).cpu(); err != nil {
		return s, err
	}
	s.load, err = readLoad()
	return s, err
}

// burstLine tells of a burst from its samples.
func burstLine(name string, file float64, list []sample) []string {
	list = trim(list)
	first, last := list[0], list[len(list)-1]
	rate := func(from, to sample) float64 {
		return float64(to.host-from.host) / 1e6 / max(to.at.Sub(from.at).Seconds(), 0.001)
	}
	early, late := last, first
	for i := range list {
		if list[i].at.Sub(first.at) <= windowMax {
			early = list[i]
		}
		if k := len(list) - 1 - i; last.at.Sub(list[k].at) <= windowMax {
			late = list[k]
		}
	}
	seconds := max(last.at.Sub(first.at).Seconds(), 0.001)
	waiting := uint64(last.group.Pending.Bytes + last.group.Pending.ActiveBytes)
	all := rate(first, last)
	mb := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
	busy, disk := last.load.since(first.load)
	return []string{name, mb(file), mb(all), fmt.Sprintf("%.2f", all/file), mb(rate(first, early)), mb(rate(late, last)),
		mb(float64(last.host-min(last.host, waiting)) / 1e6 / seconds),
		fmt.Sprintf("%.1f", float64(last.group.Wire.SentBytes-first.group.Wire.SentBytes)/1e6/seconds),
		mb(float64(last.group.Log.UsedBytes) / (1 << 20)), mb(last.group.LagSeconds),
		fmt.Sprintf("%.2f", (last.cpu-first.cpu).Seconds()/seconds), fmt.Sprintf("%.0f %%", 100*busy), fmt.Sprintf("%.0f %%", 100*disk)}
}

// trim drops the samples before the host began to write and after it ended; two are left in any case.
func trim(list []sample) []sample {
	for len(list) > 2 && list[1].host == list[0].host {
		list = list[1:]
	}
	for len(list) > 2 && list[len(list)-2].host == list[len(list)-1].host {
		list = list[:len(list)-1]
	}
	return list
}
