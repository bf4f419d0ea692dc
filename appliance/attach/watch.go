package attach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Pauses between attempts to connect again.
const (
	pauseMin = 250 * time.Millisecond
	pauseMax = 5 * time.Second
)

// Watch makes a new connection for each one of a device that breaks, until ctx ends or the device is no more. It is
// made before the device is attached, so that no break is missed.
type Watch struct{ k *kernel }

// NewWatch subscribes to what the kernel tells.
func NewWatch() (*Watch, error) {
	k, err := openKernel()
	if err != nil {
		return nil, err
	}
	if err := k.listen(); err != nil {
		k.close()
		return nil, err
	}
	return &Watch{k}, nil
}

// Keep keeps the device of an export connected. It returns nil when ctx has ended or the device was detached, and closes
// the watch.
func (w *Watch) Keep(ctx context.Context, d Device, opt Options, log *slog.Logger) error {
	index, err := Index(d.Path)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, w.k.close)
	defer func() {
		if stop() {
			w.k.close()
		}
	}()
	for {
		if err := w.k.nextDead(index); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return fmt.Errorf("watch of %s: %w", d.Path, err)
		}
		log.Warn("a connection has broken", "device", d.Path)
		if err := replace(ctx, index, opt, log); err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}
		log.Info("connected again", "device", d.Path)
	}
}

// replace connects until it has worked.
func replace(ctx context.Context, index int, opt Options, log *slog.Logger) error {
	k, err := openKernel()
	if err != nil {
		return err
	}
	defer k.close()
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		f, _, err := opt.dialOne(ctx)
		if err == nil {
			err = errors.Join(k.reconfigure(index, f), f.Close())
			if err == nil {
				return nil
			}
			if gone(index) {
				return fmt.Errorf("%w: %s was detached", os.ErrNotExist, path(index))
			}
		}
		log.Warn("not connected yet", "device", path(index), "error", err, "again after", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gone reports whether nothing is attached at a device: the kernel shows the process that attached it, or nothing.
func gone(index int) bool {
	_, err := os.Stat(fmt.Sprintf("/sys/block/nbd%d/pid", index))
	return errors.Is(err, os.ErrNotExist)
}
