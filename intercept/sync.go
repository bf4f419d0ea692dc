package intercept

import (
	"fmt"
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

// SyncMode says when a Flush, or a write with FUA, returns (guarantee G3). Without On it returns when the log is on
// stable storage here. With On it returns only when a committed point holds what it covers too.
type SyncMode struct {
	On bool

	// DegradeAfter is how long the longest wait for a commit may take before the group goes on without waiting, until
	// commits keep up again. 0: it waits as long as it takes.
	DegradeAfter time.Duration
}

// SyncStatus is the mode of a group and how it is doing.
type SyncStatus struct {
	SyncMode
	Degraded bool // commits do not keep up: nothing waits for them at present
	Waiting  int  // calls that wait for a commit now
}

// commitWaits is the state of a group's SyncMode.
type commitWaits struct {
	sync.Mutex
	SyncStatus
	released bool
}

// SetSync changes the mode, for calls that wait already too. It is not kept over a restart.
func (g *Group) SetSync(m SyncMode) {
	g.commits.Lock()
	g.commits.SyncMode, g.commits.Degraded = m, false
	g.commits.Unlock()
	g.stacks.notify()
}

// SyncStatus returns the mode and how it is doing.
func (g *Group) SyncStatus() SyncStatus {
	g.commits.Lock()
	defer g.commits.Unlock()
	return g.commits.SyncStatus
}

// ReleaseSync makes all calls that wait for a commit fail, now and from here on, so that the doors can be closed while
// the provider is out of reach.
func (g *Group) ReleaseSync() {
	g.commits.Lock()
	g.commits.released = true
	g.commits.Unlock()
	g.stacks.notify()
}

// awaitCommit returns when a committed point holds everything up to seq, as far as the mode demands it. What is up to
// seq must be on stable storage here.
func (g *Group) awaitCommit(seq ident.Seq) error {
	if ok, _, err := g.settledFor(seq, 0); ok || err != nil {
		return err
	}
	g.addWaiting(1)
	defer g.addWaiting(-1)
	g.sealSoon() // behind the reservation of seq: what is sealed holds it
	began := time.Now()
	for {
		g.stacks.Lock()
		changed := g.stacks.changed
		g.stacks.Unlock()
		ok, left, err := g.settledFor(seq, time.Since(began))
		if ok || err != nil {
			return err
		}
		g.waitChange(changed, left)
	}
}

// waitChange waits for a change, or for left when that is above 0.
func (g *Group) waitChange(changed <-chan struct{}, left time.Duration) {
	var late <-chan time.Time
	if left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-changed:
	case <-late:
	}
}

// settledFor decides whether a call that covers seq and has waited for some time may return. left is after which time to
// look again although nothing has changed; 0: never.
func (g *Group) settledFor(seq ident.Seq, waited time.Duration) (ok bool, left time.Duration, err error) {
	g.commits.Lock()
	m, released := g.commits.SyncStatus, g.commits.released
	g.commits.Unlock()
	switch {
	case !m.On || m.Degraded || !g.replicating.Load() || g.settledEnd() >= seq:
		return true, 0, nil
	case g.log.Err() != nil:
		return false, 0, g.log.Err()
	case released:
		return false, 0, fmt.Errorf("%w: the group is being closed; what was flushed is on the gateway and not committed", target.ErrClosed)
	case m.DegradeAfter == 0:
		return false, 0, nil
	case waited < m.DegradeAfter:
		return false, m.DegradeAfter - waited, nil
	}
	g.degrade(true, fmt.Sprintf("a flush has waited %v for its commit", m.DegradeAfter))
	return true, 0, nil
}

func (g *Group) addWaiting(n int) {
	g.commits.Lock()
	defer g.commits.Unlock()
	g.commits.Waiting += n
}

// degrade changes whether calls wait for commits, and tells of it once.
func (g *Group) degrade(on bool, why string) {
	g.commits.Lock()
	changed := g.commits.On && g.commits.Degraded != on
	if changed {
		g.commits.Degraded = on
	}
	g.commits.Unlock()
	if !changed {
		return
	}
	g.opt.Logger.Warn("mode sync", "group", g.id, "degraded", on, "reason", why)
	if g.opt.OnDegraded != nil {
		g.opt.OnDegraded(on, why)
	}
	g.stacks.notify()
}

// keepsUp ends a degradation when an epoch was committed in less time than a flush may wait.
func (g *Group) keepsUp(sealed time.Time) {
	st := g.SyncStatus()
	if took := g.opt.Now().Sub(sealed); st.Degraded && took < st.DegradeAfter {
		g.degrade(false, fmt.Sprintf("an epoch was committed %v after it was sealed", took.Round(time.Millisecond)))
	}
}
