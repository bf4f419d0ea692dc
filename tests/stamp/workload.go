package stamp

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Device is one connection to a volume, as a workload uses it. Methods are called from several goroutines at once.
type Device interface {
	WriteAt(p []byte, off int64, fua bool) error
	WriteZeroes(off, n int64) error
	Flush() error
}

// Workload says what to do to the volumes of a group.
type Workload struct {
	Seed     uint64
	InFlight int // requests in flight for each device
	Blocks   int64
	// OpsMax ends the workload after that many requests of each device; 0 means that only the context or an error
	// ends it.
	OpsMax int
	// Pause is waited before each request, so that a long workload does not write more than it should.
	Pause time.Duration
}

// Run writes to devs, devs[i] being volume volumes[i], until the first error of each, ctx is done, or OpsMax. Half of
// the requests go to a small hot area, so that blocks are overwritten while older writes to them are in flight. It
// returns the errors that ended it; that ctx is done is none.
func (w Workload) Run(ctx context.Context, h *History, devs []Device, volumes []uint32) error {
	var wg sync.WaitGroup
	errs := make([]error, len(devs)*w.InFlight)
	for i, dev := range devs {
		for j := range w.InFlight {
			n := i*w.InFlight + j
			rng := rand.New(rand.NewPCG(w.Seed, uint64(n)))
			wg.Go(func() { errs[n] = w.writer(ctx, h, dev, volumes[i], rng) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// writer keeps one request in flight.
func (w Workload) writer(ctx context.Context, h *History, dev Device, volume uint32, rng *rand.Rand) error {
	buf := make([]byte, 64*BlockSize)
	for i := 0; w.OpsMax == 0 || i < (w.OpsMax+w.InFlight-1)/w.InFlight; i++ {
		if w.Pause > 0 {
			timer := time.NewTimer(w.Pause)
			select {
			case <-ctx.Done():
				timer.Stop()
			case <-timer.C:
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := w.request(h, dev, volume, rng, buf); err != nil {
			return err
		}
	}
	return nil
}

// request does one request: mostly single blocks, some longer, now and then zeroes, a FUA or a flush.
func (w Workload) request(h *History, dev Device, volume uint32, rng *rand.Rand, buf []byte) error {
	kind := rng.IntN(100)
	if kind < 3 {
		return h.Flush(dev.Flush)
	}
	blocks := int64(1)
	switch n := rng.IntN(20); {
	case n == 0:
		blocks = 1 + rng.Int64N(64)
	case n < 6:
		blocks = 1 + rng.Int64N(8)
	}
	span := w.Blocks
	if rng.IntN(2) == 0 {
		span = max(64, w.Blocks/64)
	}
	blocks = min(blocks, span)
	place := Place{volume, rng.Int64N(span - blocks + 1)}
	op := h.Submit(place, blocks, kind < 7, kind >= 7 && kind < 10)
	var err error
	if op.Zero {
		err = dev.WriteZeroes(place.Block*BlockSize, blocks*BlockSize)
	} else {
		h.Payload(op, buf[:blocks*BlockSize])
		err = dev.WriteAt(buf[:blocks*BlockSize], place.Block*BlockSize, op.FUA)
	}
	if err == nil {
		h.Answer(op)
	}
	return err
}
