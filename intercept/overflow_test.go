package intercept

import (
	"math/rand/v2"
	"testing"
	"time"
)

// After an overflow the group catches up while hosts go on writing: each epoch that is sent begins with what the one
// before left, and they become as small as what was written while one of them was sent.
func TestOverflowConverges(t *testing.T) {
	g, _ := memGroup(t)
	v := mustCreateVolume(t, g, "v", 256<<10)
	rng := rand.New(rand.NewPCG(rand.Uint64(), 2))
	write := func(n int) {
		for range n {
			length := 3000 + rng.Int64N(3000)
			mustWrite(t, v, rng.Int64N(v.Size()-length), fill(byte(1+rng.IntN(255)), int(length)))
		}
	}
	f := &follower{t: t, content: map[string][]byte{}}
	ship := func(during int) {
		seal(t, g, "")
		e := next(t, g)
		f.take(e)
		write(during)
		commit(t, g, e)
	}
	write(5)
	ship(0)
	write(400) // the link is down: several times what the log holds
	seal(t, g, "")
	if p := g.Pending(); !p.Overflow {
		t.Fatalf("no overflow: %+v", p)
	}
	const during = 8
	for range 6 {
		ship(during)
	}
	f.sent = 0
	ship(0)
	if limit := int64(during * (6000 + 2*4096)); f.sent > limit {
		t.Errorf("the last epoch has %d bytes, at most %d were written since the one before", f.sent, limit)
	}
	awaitDestaged(t, g, g.Ledger().Committed.End)
	if p := g.Pending(); p.Overflow || p.Epochs != 0 {
		t.Errorf("it did not catch up: %+v", p)
	}
	same(t, "what the follower has", f.content["v"], content(t, v))
	closeGroup(t, g)
}

// Hosts are slowed down only when that was asked for, the group is behind and something was committed; then to a share
// of what is committed.
func TestThrottle(t *testing.T) {
	g, _ := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	if g.Throttle() || g.allowed() != 0 {
		t.Fatal("hosts are slowed down from the start")
	}
	at := time.Now()
	g.meter.commit(10<<20, at, at.Add(time.Second))
	if g.allowed() != 0 {
		t.Error("slowed down while the group is not behind")
	}
	for range 60 { // more than half of the log
		mustWrite(t, v, 0, fill(1, 6000))
	}
	seal(t, g, "")
	if got, want := g.allowed(), 0.8*(10<<20); got < want-1 || got > want+1 {
		t.Errorf("slowed down to %v, want %v", got, want)
	}
	g.meter.commit(1, at.Add(time.Second), at.Add(1000*time.Second))
	for range 30 {
		g.meter.commit(1, at, at.Add(1000*time.Second))
		g.meter.committed = at
	}
	if got := g.allowed(); got < throttleRateMin {
		t.Errorf("slowed down to %v", got)
	}
	g.SetThrottle(true)
	if !g.Throttle() {
		t.Error("the switch does not hold")
	}
	closeGroup(t, g)
}

// Waits add up to the rate, and a pause earns nothing.
func TestThrottleTake(t *testing.T) {
	var th throttle
	now := time.Now()
	for i := range 10 {
		if got, want := th.take(1<<20, 4<<20, now), time.Duration(i)*250*time.Millisecond; got != want {
			t.Fatalf("write %d waits %v, want %v", i, got, want)
		}
	}
	if got := th.take(1, 4<<20, now.Add(time.Hour)); got != 0 {
		t.Errorf("after a pause a write waits %v", got)
	}
	for range 1000 { // a deep queue of large writes
		if got := th.take(1<<20, 1<<20, now.Add(time.Hour)); got > throttleWaitMax {
			t.Fatalf("a write waits %v", got)
		}
	}
}

// The rate of writing follows what was written; that of commits counts the time between them.
func TestMeter(t *testing.T) {
	var m meter
	at := time.Now()
	for i := range 50 {
		m.sample(uint64(i)*3<<20, at.Add(time.Duration(i)*time.Second))
	}
	if d, _ := m.rates(); d < 3<<20-1 || d > 3<<20+1 {
		t.Errorf("dirtying %v", d)
	}
	m.sample(49*3<<20, at.Add(100*time.Second))
	for i := range 100 {
		m.sample(49*3<<20, at.Add(time.Duration(101+i)*time.Second))
	}
	if d, _ := m.rates(); d != 0 {
		t.Errorf("dirtying %v when nobody writes", d)
	}
	m.commit(8<<20, at, at.Add(2*time.Second))
	m.commit(8<<20, at.Add(time.Second), at.Add(4*time.Second)) // it waited for the one before
	if _, d := m.rates(); d < 4<<20-1 || d > 4<<20+1 {
		t.Errorf("draining %v", d)
	}
}
