package intercept

import (
	"sync"
	"sync/atomic"
	"time"
)

// throttle slows hosts down to what is committed, so that a group that is behind catches up although they go on writing.
type throttle struct {
	on atomic.Bool

	mu   sync.Mutex
	next time.Time // when the next write may go
}

const (
	throttleShare   = 0.8     // of the rate at which epochs are committed
	throttleRateMin = 1 << 20 // bytes per second; nobody is slowed down below

	// throttleWaitMax is how long a write waits at most: hosts take one that is not answered in 30 s for lost, and doors
	// that close wait for it.
	throttleWaitMax = 10 * time.Second
)

// SetThrottle says whether hosts are slowed down while the group is behind (off at first): to 0.8 of the rate at which
// what they write was committed of late, at least 1 MiB/s. Behind means that epochs overflow or that half of the log is
// used. While nothing was ever committed nobody is slowed down. No write waits longer than 10 s, however many wait.
func (g *Group) SetThrottle(on bool) { g.throttle.on.Store(on) }

// Throttle returns whether SetThrottle is on.
func (g *Group) Throttle() bool { return g.throttle.on.Load() }

// slow waits until a host may write n bytes more.
func (g *Group) slow(n int64) {
	rate := g.allowed()
	if rate == 0 {
		return
	}
	if wait := g.throttle.take(n, rate, time.Now()); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-g.done:
		}
	}
}

// allowed is the rate to which hosts are slowed down, in bytes per second; 0: they are not.
func (g *Group) allowed() float64 {
	used, budget := g.log.Used()
	_, draining := g.meter.rates()
	if draining == 0 || used < budget/2 && g.baseEnd.Load() <= g.settled.Load() {
		return 0
	}
	return max(draining*throttleShare, throttleRateMin)
}

// take reserves n bytes at rate and returns how long to wait for them, at most throttleWaitMax.
func (t *throttle) take(n int64, rate float64, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.Before(now) {
		t.next = now
	}
	wait := min(t.next.Sub(now), throttleWaitMax)
	t.next = now.Add(wait + time.Duration(float64(n)/rate*float64(time.Second)))
	return wait
}
