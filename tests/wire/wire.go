package wire

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Incompressible is the step that writes random data; sums that are compared with compression leave it out.
const Incompressible = "13-random"

// Workload is the script and the file system that it works on.
type Workload struct {
	Script string // path of steps.sh
	Dir    string // mount point

	port int // of the database
}

// New returns the workload of the source tree at root, on the file system mounted at dir. Workloads that run at the same
// time have databases at ports of their own.
func New(root, dir string) (*Workload, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	script := filepath.Join(root, "tests", "wire", "steps.sh")
	return &Workload{Script: script, Dir: dir, port: port}, l.Close()
}

// Steps returns the names of the steps, in order.
func (w *Workload) Steps(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, w.Script, "list").Output()
	return strings.Fields(string(out)), err
}

// Prepare fills the file system; a database runs on it from then on.
func (w *Workload) Prepare(ctx context.Context) error { return w.call(ctx, "prepare", w.Dir) }

// Run does one step and syncs.
func (w *Workload) Run(ctx context.Context, step string) error {
	return w.call(ctx, "run", step, w.Dir)
}

// Stop stops the database, so that the file system can be unmounted.
func (w *Workload) Stop(ctx context.Context) error { return w.call(ctx, "stop", w.Dir) }

func (w *Workload) call(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, w.Script, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("WIRE_PG_PORT=%d", w.port))
	cmd.WaitDelay = 10 * time.Second // a database that lives on shall not keep the output open
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("steps.sh %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
