package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Mount is a file system on an NBD export: nbdfuse shows the export as a file, a loop device makes that a block
// device, and the kernel mounts it. Needs root.
type Mount struct {
	Dir string // mount point, readable by everybody

	work   string
	fuse   *exec.Cmd
	exited chan struct{}
	loop   string
}

// Attach shows the export at uri as a block device and mounts nothing yet.
func Attach(ctx context.Context, uri string) (*Mount, error) {
	work, err := os.MkdirTemp("", "weir-mount-")
	if err != nil {
		return nil, err
	}
	m := &Mount{work: work, Dir: filepath.Join(work, "mnt"), exited: make(chan struct{})}
	for _, dir := range []string{m.Dir, filepath.Join(work, "fuse")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(work, "fuse", "disk")
	var stderr bytes.Buffer
	m.fuse = exec.Command("nbdfuse", file, uri)
	m.fuse.Stderr = &stderr
	if err := m.fuse.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(m.exited)
		_ = m.fuse.Wait()
	}()
	if err := m.waitFor(ctx, file); err != nil {
		return nil, errors.Join(fmt.Errorf("nbdfuse: %w: %s", err, &stderr), m.Close())
	}
	out, err := Run(ctx, "losetup", "--find", "--show", file)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.loop = strings.TrimSpace(out)
	return m, nil
}

func (m *Mount) waitFor(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if info, err := os.Stat(file); err == nil && info.Size() > 0 {
			return nil
		}
		select {
		case <-m.exited:
			return fmt.Errorf("ended: %v", m.fuse.ProcessState)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Device returns the path of the block device.
func (m *Mount) Device() string { return m.loop }

// Format makes an ext4 file system without delayed initialisation, so that what is written later is what the workload
// writes, and mounts it.
func (m *Mount) Format(ctx context.Context) error {
	_, err := Run(ctx, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", m.loop)
	if err != nil {
		return err
	}
	_, err = Run(ctx, "mount", "-t", "ext4", m.loop, m.Dir)
	return err
}

// Close unmounts and detaches. It may be called again; what is gone already is no error.
func (m *Mount) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var errs []error
	step := func(args ...string) {
		if _, err := Run(ctx, args...); err != nil {
			errs = append(errs, err)
		}
	}
	if mounted(m.Dir) {
		step("umount", m.Dir)
	}
	if m.loop != "" {
		step("losetup", "--detach", m.loop)
		m.loop = ""
	}
	if fuse := filepath.Join(m.work, "fuse"); mounted(fuse) {
		step("umount", fuse)
	}
	select {
	case <-m.exited:
	case <-time.After(30 * time.Second):
		errs = append(errs, fmt.Errorf("nbdfuse does not end"), m.fuse.Process.Kill())
		<-m.exited
	}
	if len(errs) == 0 {
		_ = os.RemoveAll(m.work)
	}
	return errors.Join(errs...)
}

func mounted(dir string) bool {
	b, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(b), " "+dir+" ")
}
