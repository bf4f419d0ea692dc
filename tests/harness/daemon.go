package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/admin/runfile"
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	pollInterval = 10 * time.Millisecond
)

// Spec says how to start a process of ours.
type Spec struct {
	Binary string
	Args   []string // command and flags, without --data
	Data   string   // data folder; made when it is not there
	Log    string   // file that gets both outputs of the process, appended
	Env    []string // added to the environment of this process
}

// Daemon is one running process of ours.
type Daemon struct {
	Spec
	Addresses api.Addresses
	Client    *client.Client

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended and its status is known
}

// Start starts the process and returns when its doors are open. The error of a process that ended holds the end of
// its log.
func (s Spec) Start(ctx context.Context) (*Daemon, error) {
	if err := os.MkdirAll(s.Data, 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(s.Data, "run", "addresses.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err // of a process that was killed
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	d := &Daemon{Spec: s, exited: make(chan struct{})}
	d.cmd = exec.Command(s.Binary, append(append([]string{}, s.Args...), "--data", s.Data)...)
	d.cmd.Env = append(os.Environ(), s.Env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.exited)
		_ = d.cmd.Wait() // the outcome stays in d.cmd.ProcessState
	}()
	if err := d.ready(ctx); err != nil {
		_ = d.Kill()
		return nil, fmt.Errorf("weir %s did not get ready: %w\n%s", s.Args[0], err, d.LogTail())
	}
	return d, nil
}

// ready waits until the process announces its addresses and answers that it is healthy.
func (d *Daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err := d.poll(ctx, func() error {
		found, err := runfile.InFolder(d.Data)
		d.Addresses = found.Addresses
		return err
	})
	if err != nil {
		return err
	}
	if d.Client, err = client.New(client.Options{Data: d.Data}); err != nil {
		return err
	}
	return d.poll(ctx, func() error {
		_, err := d.Client.Health(ctx)
		return err
	})
}

// poll calls try until it succeeds, ctx is done or the process ends.
func (d *Daemon) poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-d.exited:
			return fmt.Errorf("the process ended: %v", d.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// PID returns the process id.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// Alive reports whether the process runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process at once, as kill -9 does, and waits for its end.
func (d *Daemon) Kill() error {
	err := d.cmd.Process.Kill()
	<-d.exited
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop asks the process to end, as an administrator does, and waits for it. A process that does not end in time is
// killed; that, and an exit status other than 0, is an error.
func (d *Daemon) Stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-d.exited:
	case <-timer.C:
		return errors.Join(fmt.Errorf("weir %s does not end after SIGTERM\n%s", d.Args[0], d.LogTail()), d.Kill())
	}
	if !d.cmd.ProcessState.Success() {
		return fmt.Errorf("weir %s: %v\n%s", d.Args[0], d.cmd.ProcessState, d.LogTail())
	}
	return nil
}

// Restart starts the process anew, with the same spec, after it has ended.
func (d *Daemon) Restart(ctx context.Context) (*Daemon, error) {
	if d.Alive() {
		return nil, fmt.Errorf("process %d still runs", d.PID())
	}
	return d.Spec.Start(ctx)
}

// LogTail returns the end of the process's log.
func (d *Daemon) LogTail() string {
	b, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	const max = 6000
	if len(b) > max {
		b = b[len(b)-max:]
	}
	return string(b)
}

// WaitListening returns when a connection to addr succeeds.
func WaitListening(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens at %s: %w", addr, err)
		case <-tick.C:
		}
	}
}

// FreeAddress returns an address of this machine at which nothing listens, for a process that has to come back at the
// same one.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
