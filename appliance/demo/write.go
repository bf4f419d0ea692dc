package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/demo/trace"
)

const (
	inFlight     = 16  // writes at a time, as a kernel keeps them
	updateWrites = 200 // blocks that one round of small updates touches
	updateBytes  = 8   // bytes that change in each
	block        = 4096
)

// write is one request to the NBD door.
type write struct {
	off  int64
	data []byte
}

// replay writes the recorded steps, waits after each until the disk has followed, and notes what it cost.
func (d *demo) replay(ctx context.Context, r *trace.Reader) error {
	d.say("\n%-22s %12s %12s %8s", "recorded step", "host wrote", "on the wire", "ratio")
	name := ""
	var batch []write
	for {
		rec, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("recorded work: %w", err)
		}
		if err != nil || rec.Step != "" {
			if err := d.step(ctx, name, batch); err != nil {
				return err
			}
			name, batch = rec.Step, nil
		}
		if err != nil {
			return nil
		}
		if rec.Data != nil {
			copy(d.truth[rec.Off:], rec.Data)
			batch = append(batch, write{rec.Off, d.truth[rec.Off : rec.Off+int64(len(rec.Data))]})
		}
	}
}

// update changes a few bytes in many blocks, as a database does: real writes of whole blocks, little of each new.
func (d *demo) update(ctx context.Context) error {
	if d.opt.Rounds == 0 {
		return nil
	}
	var used []int64
	for off := int64(0); off < int64(len(d.truth)); off += block {
		if d.truth[off+block/2] != 0 {
			used = append(used, off)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	s := Step{Name: "small updates"}
	began := time.Now()
	for range d.opt.Rounds {
		batch := d.round(rng, used)
		if err := d.send(ctx, batch); err != nil {
			return fmt.Errorf("small updates: %w", err)
		}
		s.count(batch)
	}
	s.WriteSeconds = time.Since(began).Seconds()
	d.report.UpdatesPerSecond = float64(s.Writes) / s.WriteSeconds
	return d.settle(ctx, s)
}

// round changes a few bytes in some of the used blocks and returns the writes of whole blocks that this takes.
func (d *demo) round(rng *rand.Rand, used []int64) []write {
	batch := make([]write, 0, updateWrites)
	for _, i := range rng.Perm(len(used))[:min(updateWrites, len(used))] {
		p := d.truth[used[i] : used[i]+block]
		at := rng.IntN(block - updateBytes)
		for j := range updateBytes {
			p[at+j] = byte(rng.Uint32())
		}
		batch = append(batch, write{used[i], p})
	}
	return batch
}

// step writes batch, waits until the disk has followed, and notes what it cost.
func (d *demo) step(ctx context.Context, name string, batch []write) error {
	if name == "" {
		return nil
	}
	s := Step{Name: name}
	s.count(batch)
	began := time.Now()
	if err := d.send(ctx, batch); err != nil {
		return fmt.Errorf("step %s: %w", name, err)
	}
	s.WriteSeconds = time.Since(began).Seconds()
	return d.settle(ctx, s)
}

// settle waits until the disk has followed what a step wrote, and notes the step.
func (d *demo) settle(ctx context.Context, s Step) error {
	w, err := d.system.Wait(ctx, volume, func(api.Progress) {})
	if err != nil {
		return fmt.Errorf("step %s: waiting for the disk: %w", s.Name, err)
	}
	s.CatchUpSeconds = w.Seconds
	s.WireBytes = d.report.newWire(d.system.Status())
	d.report.Steps = append(d.report.Steps, s)
	d.say("%-22s %12s %12s %8s", s.Name, size(s.HostBytes), size(s.WireBytes), ratio(s.HostBytes, s.WireBytes))
	return nil
}

func (s *Step) count(batch []write) {
	s.Writes += len(batch)
	for _, w := range batch {
		s.HostBytes += uint64(len(w.data))
	}
}

// send writes batch with inFlight requests at a time and flushes.
func (d *demo) send(ctx context.Context, batch []write) error {
	work := make(chan write)
	errs := make([]error, inFlight)
	var wg sync.WaitGroup
	for i := range inFlight {
		wg.Go(func() {
			for w := range work {
				if errs[i] == nil {
					errs[i] = d.nbd.WriteAt(w.data, w.off, false)
				}
			}
		})
	}
	for _, w := range batch {
		if ctx.Err() != nil {
			break
		}
		work <- w
	}
	close(work)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("NBD write: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.nbd.Flush(); err != nil {
		return fmt.Errorf("NBD flush: %w", err)
	}
	return nil
}
