package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// worker works on slots of its own.
type worker struct {
	dev     device
	rnd     *rand.Rand
	slots   []*slot
	buf     []byte // slotBytes, aligned
	number  uint64 // of the last write; unique among all workers by its remainder
	step    uint64
	done    map[string]int
	slowest time.Duration
}

func newWorker(dev device, i, n int, seed uint64, size int64) (*worker, error) {
	w := &worker{dev: dev, rnd: rand.New(rand.NewPCG(seed, uint64(i))), number: uint64(i), step: uint64(n),
		done: make(map[string]int)}
	for index := int64(i); index < size/slotBytes; index += int64(n) {
		w.slots = append(w.slots, &slot{index: index})
	}
	var err error
	w.buf, err = aligned(slotBytes)
	return w, err
}

// fillAll writes every slot.
func (w *worker) fillAll() error {
	for _, s := range w.slots {
		if err := w.write(s, 0, slotBlocks); err != nil {
			return err
		}
	}
	return nil
}

// run works until the deadline.
func (w *worker) run(deadline time.Time) error {
	for len(w.slots) > 0 && time.Now().Before(deadline) {
		s := w.slots[w.rnd.IntN(len(w.slots))]
		from := w.rnd.IntN(slotBlocks)
		to := from + 1 + w.rnd.IntN(slotBlocks-from)
		if err := w.any(s, from, to); err != nil {
			return err
		}
	}
	return nil
}

// any does something with blocks [from, to) of s.
func (w *worker) any(s *slot, from, to int) error {
	off, n := s.off(from), int64(to-from)*blockBytes
	switch k := w.rnd.IntN(16); {
	case k < 10:
		return w.write(s, from, to)
	case k < 13:
		return w.check(s)
	case k == 13:
		s.set(from, to, 0)
		return w.timed("zero", off, func() error { return w.dev.zero(off, n) })
	case k == 14:
		s.set(from, to, 0)
		return w.timed("discard", off, func() error { return w.dev.discard(off, n) })
	default:
		return w.timed("flush", 0, w.dev.Sync)
	}
}

func (w *worker) timed(what string, off int64, call func() error) error {
	begin := time.Now()
	if err := call(); err != nil {
		return fmt.Errorf("%s at %d: %w", what, off, err)
	}
	w.slowest = max(w.slowest, time.Since(begin))
	w.done[what]++
	return nil
}

func (w *worker) write(s *slot, from, to int) error {
	w.number += w.step
	p := w.buf[:(to-from)*blockBytes]
	for i := from; i < to; i++ {
		fillBlock(p[(i-from)*blockBytes:][:blockBytes], s.off(i), w.number)
	}
	s.set(from, to, w.number)
	return w.timed("write", s.off(from), func() error {
		_, err := w.dev.WriteAt(p, s.off(from))
		return err
	})
}

// check reads s and compares.
func (w *worker) check(s *slot) error {
	p := w.buf[:slotBytes]
	err := w.timed("read", s.off(0), func() error {
		_, err := w.dev.ReadAt(p, s.off(0))
		return err
	})
	if err != nil {
		return err
	}
	for i, stamp := range s.stamp {
		if b := p[i*blockBytes:][:blockBytes]; !holds(b, s.off(i), stamp) {
			return fmt.Errorf("block at %d is not of write %d; it begins with %x", s.off(i), stamp, b[:16])
		}
	}
	return nil
}

// checkAll reads every slot.
func (w *worker) checkAll() error {
	for _, s := range w.slots {
		if err := w.check(s); err != nil {
			return err
		}
	}
	return nil
}
