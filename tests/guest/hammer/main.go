package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

func main() {
	seconds := flag.Int("seconds", 2, "how long to work")
	writers := flag.Int("writers", 8, "calls in flight")
	seed := flag.Uint64("seed", 1, "of all choices")
	flag.Parse()
	if err := run(flag.Arg(0), *seconds, *writers, *seed); err != nil {
		fmt.Printf("hammer: %v\n", err)
		os.Exit(1)
	}
}

func run(path string, seconds, writers int, seed uint64) error {
	dev, size, err := openDevice(path)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }()
	workers, err := hammer(dev, size, time.Duration(seconds)*time.Second, writers, seed)
	if err != nil {
		return err
	}
	fmt.Println(report(workers, size))
	return nil
}

// hammer writes all of dev, works on it for d, then reads all of it.
func hammer(dev device, size int64, d time.Duration, writers int, seed uint64) ([]*worker, error) {
	workers := make([]*worker, writers)
	for i := range workers {
		var err error
		if workers[i], err = newWorker(dev, i, writers, seed, size); err != nil {
			return nil, err
		}
	}
	var deadline time.Time
	work := func(w *worker) error { return w.run(deadline) }
	for _, step := range []func(*worker) error{(*worker).fillAll, work, (*worker).checkAll} {
		deadline = time.Now().Add(d)
		if err := together(workers, step); err != nil {
			return nil, err
		}
		if err := dev.Sync(); err != nil {
			return nil, fmt.Errorf("flush: %w", err)
		}
	}
	return workers, nil
}

func together(workers []*worker, step func(*worker) error) error {
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { errs[i] = step(w) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// report is one line: counts of calls, the slowest of them, and the sum of what the device has to hold.
func report(workers []*worker, size int64) string {
	total, slowest := map[string]int{}, time.Duration(0)
	slots := make([]*slot, size/slotBytes)
	for _, w := range workers {
		for what, n := range w.done {
			total[what] += n
		}
		slowest = max(slowest, w.slowest)
		for _, s := range w.slots {
			slots[s.index] = s
		}
	}
	sum, block := sha256.New(), make([]byte, blockBytes)
	for _, s := range slots {
		for i, stamp := range s.stamp {
			fillBlock(block, s.off(i), stamp)
			sum.Write(block)
		}
	}
	var line []byte
	for _, what := range slices.Sorted(maps.Keys(total)) {
		line = fmt.Appendf(line, "%s=%d ", what, total[what])
	}
	return fmt.Sprintf("%sslowest=%dms sum=%x", line, slowest.Milliseconds(), sum.Sum(nil))
}
