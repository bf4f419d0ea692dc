package nbd

import (
	"sync/atomic"
	"time"
)

// kind groups commands that take about the same time on a device.
type kind uint8

const (
	kindRead  kind = iota
	kindZero       // TRIM and WRITE_ZEROES
	kindSync       // FLUSH
	kindQuery      // BLOCK_STATUS
	kindWarm       // CACHE
	kinds
)

func kindOf(c command) kind {
	switch c {
	case cmdTrim, cmdWriteZeroes:
		return kindZero
	case cmdFlush:
		return kindSync
	case cmdBlockStatus:
		return kindQuery
	case cmdCache:
		return kindWarm
	}
	return kindRead
}

// pace watches how long one kind of command takes on one connection, and says whether the leader shall serve it in
// place. It starts with "no": a device has to prove that it is fast.
type pace struct {
	mean    atomic.Int64 // ns, weighted towards the last eight or so
	inPlace atomic.Bool

	fast, slow int64 // ns; in place from a mean below fast, until it is above slow
}

// paceLimits are the means below which a kind is served in place, and above which it is not any more. A reply that
// waits behind an fdatasync is no worse off than if it had been sent just before it; reads that go to a disk gain from
// being served together.
var paceLimits = [kinds][2]time.Duration{
	kindRead:  {100 * time.Microsecond, 400 * time.Microsecond},
	kindZero:  {200 * time.Microsecond, time.Millisecond},
	kindSync:  {time.Millisecond, 3 * time.Millisecond},
	kindQuery: {100 * time.Microsecond, 400 * time.Microsecond},
	kindWarm:  {0, 0},
}

func (p *pace) init(k kind) {
	p.fast, p.slow = int64(paceLimits[k][0]), int64(paceLimits[k][1])
	p.mean.Store(2 * p.slow)
}

// observe counts one command that took ns.
func (p *pace) observe(ns int64) {
	old := p.mean.Load()
	mean := old + (ns-old)/8
	p.mean.Store(mean) // a lost update costs one observation
	if in := p.inPlace.Load(); in && mean > p.slow {
		p.inPlace.Store(false)
	} else if !in && mean < p.fast {
		p.inPlace.Store(true)
	}
}

// stuck says that a command in place has taken too long.
func (p *pace) stuck() {
	p.inPlace.Store(false)
	p.mean.Store(2 * p.slow)
}

// began is the zero of now.
var began = time.Now()

// now is a monotonic clock, in ns, never 0.
func now() int64 { return int64(time.Since(began)) + 1 }
