package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

// process is a server under measurement whose processor time is read.
type process struct {
	name string
	addr string // host:port
	pid  int
	stop func() error
}

// startProcess starts a server that listens on addr.
func startProcess(ctx context.Context, name, addr string, argv ...string) (*process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: name, addr: addr, pid: cmd.Process.Pid, stop: func() error {
		err := cmd.Process.Kill()
		_ = cmd.Wait() // reports the kill
		return err
	}}
	if err := harness.WaitListening(ctx, addr); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// tick is the unit of processor time in /proc (proc(5), USER_HZ is 100 on every architecture that Go has).
const tick = 10 * time.Millisecond

// cpu returns the processor time that the process has used, user and system, all threads (proc(5): fields 14 and 15 of
// stat).
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is %q", p.pid, stat)
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// figure is what one server did in one cell of one round.
type figure struct {
	rate float64 // requests per second
	cpu  float64 // microseconds of the server for each request
}

// watch runs load on p, which returns how many requests it made in which time, and reads the processor time that p
// used for them.
func (p *process) watch(load func() (requests float64, took time.Duration, err error)) (figure, error) {
	before, err := p.cpu()
	if err != nil {
		return figure{}, err
	}
	n, took, err := load()
	if err != nil {
		return figure{}, err
	}
	after, err := p.cpu()
	if err != nil || n == 0 {
		return figure{}, errors.Join(err, errNothingDone(n))
	}
	return figure{rate: n / took.Seconds(), cpu: float64((after - before).Microseconds()) / n}, nil
}

func errNothingDone(n float64) error {
	if n == 0 {
		return errors.New("no request was answered")
	}
	return nil
}

// buildTool builds a program of this repository below dir, from the module in folder (relative to the root).
func buildTool(ctx context.Context, dir, folder, pkg string) (string, error) {
	root, err := harness.Root()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, filepath.Base(pkg)+"-bench")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
	cmd.Dir = filepath.Join(root, folder)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}

// freePort returns an address on loopback, and its port.
func freePort() (addr, port string, err error) {
	if addr, err = harness.FreeAddress(); err != nil {
		return "", "", err
	}
	_, port, _ = strings.Cut(addr, ":")
	return addr, port, nil
}
