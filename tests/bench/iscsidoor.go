package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/tests/harness"
)

// iscsiCell is one kind of load; our own initiator makes it, the same for all targets.
type iscsiCell struct {
	name  string
	write bool
	size  int
	depth int
	seq   bool
}

var iscsiCells = []iscsiCell{
	{"randread 4k qd1", false, 4 << 10, 1, false}, {"randwrite 4k qd1", true, 4 << 10, 1, false},
	{"randread 4k qd32", false, 4 << 10, 32, false}, {"randwrite 4k qd32", true, 4 << 10, 32, false},
	{"seq read 128k qd8", false, 128 << 10, 8, true}, {"seq write 128k qd8", true, 128 << 10, 8, true},
}

// iscsiBytes is the size of each volume; less than for NBD, since tgtd's lies in a memory file system.
const iscsiBytes = 256 << 20

// lun is where a target has its volume.
type lun struct {
	iqn string
	lun byte
}

// measureISCSIDoor compares the bare iSCSI door, and the door with a volume behind it, with Debian's tgtd on a file in
// memory.
func measureISCSIDoor(ctx context.Context, o options) (table string, err error) {
	dir, err := os.MkdirTemp("/dev/shm", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	luns := make(map[string]lun)
	servers, err := iscsiServers(ctx, o, dir, luns)
	defer func() { err = errors.Join(err, stopAll(servers)) }()
	if err != nil {
		return "", err
	}
	var names []string
	for _, c := range iscsiCells {
		names = append(names, c.name)
	}
	return contest{job: "iscsi-door", servers: servers, cells: names,
		load: func(ctx context.Context, p *process, i int) (figure, error) {
			l := luns[p.name]
			s, err := initiator.Dial(ctx, p.addr, l.iqn, initiator.Options{LUN: l.lun})
			if err != nil {
				return figure{}, err
			}
			defer func() { _ = s.Logout() }()
			d := time.Duration(o.seconds) * time.Second
			return p.watch(func() (float64, time.Duration, error) { return drive(s, iscsiCells[i], d) })
		}}.table(ctx, o)
}

func iscsiServers(ctx context.Context, o options, dir string, luns map[string]lun) (all []*process, err error) {
	start := func(p *process, l lun, err error) error {
		if err == nil {
			all = append(all, p)
			luns[p.name] = l
			err = fillISCSI(ctx, p.addr, l)
		}
		return err
	}
	door, err := buildTool(ctx, dir, ".", "./tests/bench/door")
	if err != nil {
		return nil, err
	}
	addr, _, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(ctx, "weir bare", addr, door, "iscsi", addr, fmt.Sprint(iscsiBytes))
	if err := start(p, lun{iscsi.IQN("v"), 0}, err); err != nil {
		return all, err
	}
	p, l, err := startTgtd(ctx, dir)
	if err := start(p, l, err); err != nil {
		return all, err
	}
	p, err = startVolume(ctx, o)
	return all, start(p, lun{iscsi.IQN("v"), 0}, err)
}

// startTgtd starts Debian's target with a control port of its own.
func startTgtd(ctx context.Context, dir string) (*process, lun, error) {
	l := lun{"iqn.2026-11.io.weir.peers:tgt", 1}
	file := filepath.Join(dir, "tgt.raw")
	f, err := os.Create(file)
	if err != nil {
		return nil, l, err
	}
	if err := errors.Join(f.Truncate(iscsiBytes), f.Close()); err != nil {
		return nil, l, err
	}
	addr, port, err := freePort()
	if err != nil {
		return nil, l, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, l, err
	}
	control := strconv.Itoa(n % 32768) // any number of 15 bits that no other tgtd uses
	p, err := startProcess(ctx, "tgtd", addr, "tgtd", "-f", "-C", control, "--iscsi", "portal="+addr)
	if err != nil {
		return nil, l, err
	}
	for _, args := range [][]string{
		{"--mode", "target", "--op", "new", "--tid", "1", "-T", l.iqn},
		{"--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", "1", "-b", file},
		{"--mode", "target", "--op", "bind", "--tid", "1", "-I", "ALL"},
	} {
		if out, err := exec.CommandContext(ctx, "tgtadm", append([]string{"-C", control, "--lld", "iscsi"}, args...)...).CombinedOutput(); err != nil {
			return nil, l, errors.Join(fmt.Errorf("tgtadm %q: %w: %s", args, err, out), p.stop())
		}
	}
	return p, l, nil
}

// startVolume starts `weir up` with a volume, replication off, on the disk.
func startVolume(ctx context.Context, o options) (*process, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	d, err := harness.Spec{
		Binary: o.binary, Data: filepath.Join(dir, "weir"), Log: filepath.Join(dir, "weir.log"),
		Args: []string{"up", "--nbd", "127.0.0.1:0", "--iscsi", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--replication", "off",
			"--volume", fmt.Sprintf("v:%d", iscsiBytes)},
	}.Start(ctx)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &process{name: "weir volume", addr: d.Addresses.ISCSI, pid: d.PID(),
		stop: func() error { return errors.Join(d.Stop(), os.RemoveAll(dir)) }}, nil
}

func fillISCSI(ctx context.Context, addr string, l lun) error {
	s, err := initiator.Dial(ctx, addr, l.iqn, initiator.Options{LUN: l.lun})
	if err != nil {
		return err
	}
	defer func() { _ = s.Logout() }()
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	for off := int64(0); off < s.Size(); off += int64(len(p)) {
		if err := s.WriteAt(p, off, false); err != nil {
			return fmt.Errorf("fill at %d: %w", off, err)
		}
	}
	return nil
}

// drive keeps c.depth requests in flight for d and returns how many were answered.
func drive(s *initiator.Session, c iscsiCell, d time.Duration) (requests float64, took time.Duration, err error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, c.depth)
	begin := time.Now()
	blocks := s.Size() / int64(c.size)
	for w := range c.depth {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			p := make([]byte, c.size)
			for errs[w] == nil && time.Since(begin) < d {
				i := next.Add(1)
				if !c.seq {
					i = rnd.Int64N(blocks)
				}
				if off := i % blocks * int64(c.size); c.write {
					errs[w] = s.WriteAt(p, off, false)
				} else {
					errs[w] = s.ReadAt(p, off)
				}
			}
		})
	}
	wg.Wait()
	return float64(next.Load()), time.Since(begin), errors.Join(errs...)
}
