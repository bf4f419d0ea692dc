package intercept

import "time"

// Pending is what waits in the log.
type Pending struct {
	Epochs       int       // sealed, not known to be committed
	Bytes        int64     // that hosts wrote in them
	OldestSealed time.Time // of them; zero: none
	LogUsed      int64     // bytes of segments in use
	LogBudget    int64     // bytes
	EpochsSealed uint64    // since the group was opened
	Overflow     bool      // epochs were destaged before they were committed; what they changed waits too
	ActiveBytes  int64     // of log that the unsealed epoch takes
	OldestActive time.Time // when the first write of the unsealed epoch came; zero: it holds nothing
	Dirtying     float64   // bytes per second that hosts write, of late
	Draining     float64   // bytes per second of that which were committed, of late; 0: nothing yet
	NoSpace      string    // what there is no room for on the disk; "": there is
	FullSince    time.Time // since when writes wait for room in the log; zero: they do not
}

// Oldest is when the oldest write that is not committed came, as far as it is known: the seal of its epoch, if that is
// sealed; zero: all is committed.
func (p *Pending) Oldest() time.Time {
	if p.Epochs > 0 {
		return p.OldestSealed
	}
	return p.OldestActive
}

// Pending returns what waits in the log.
func (g *Group) Pending() Pending {
	p := Pending{EpochsSealed: g.epochs.Load()}
	p.LogUsed, p.LogBudget = g.log.Used()
	since, _ := g.log.Since()
	p.ActiveBytes, p.OldestActive = since.Bytes, since.Began
	p.Dirtying, p.Draining = g.meter.rates()
	p.NoSpace, p.FullSince = g.noSpace()
	p.Overflow = g.baseEnd.Load() > g.settled.Load()
	settled := g.settledEnd()
	g.stacks.Lock()
	defer g.stacks.Unlock()
	for _, l := range g.stacks.current.Load().layers {
		if l.end == 0 || l.end <= settled {
			continue
		}
		p.Epochs++
		if p.OldestSealed.IsZero() {
			p.OldestSealed = l.oldest
		}
		for _, v := range *l.volumes.Load() {
			if v != nil {
				p.Bytes += v.hostBytes.Load()
			}
		}
	}
	return p
}
