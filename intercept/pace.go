package intercept

import (
	"time"

	"github.com/weirstor/weir/intercept/wal"
)

// When destaging yields to the doors. Content that waits in the log is as safe as in the base, while moving it costs the
// doors memory bandwidth, page cache and the disk: so it waits for a pause, as long as the log has room.
const (
	paceTick   = 20 * time.Millisecond
	paceBusy   = 40 << 20 // bytes a second from which on the doors are busy
	paceLayers = 8        // layers that wait at most: every read looks through all of them
)

// pacer knows how busy the doors are. It is used by the destager alone.
type pacer struct {
	at   time.Time // of the last look
	tail wal.Pos   // of the log then
	busy bool
}

// look takes note of how far the log has grown by now, and reports whether the doors are busy.
func (p *pacer) look(tail wal.Pos, now time.Time) bool {
	passed := now.Sub(p.at)
	if passed < paceTick {
		return p.busy
	}
	grown := float64(tail - p.tail)
	p.busy = !p.at.IsZero() && grown > paceBusy*passed.Seconds()
	p.at, p.tail = now, tail
	return p.busy
}

// yields reports whether destaging shall leave the doors alone at present. It ends by itself: either they become quiet, or
// what they write fills half of the log.
func (g *Group) yields() bool {
	if g.opt.foreground || g.log.Err() != nil {
		return false
	}
	if used, budget := g.log.Used(); used >= budget/2 {
		return false
	}
	return g.pace.look(g.log.Tail(), time.Now()) && len(g.stacks.current.Load().layers) <= paceLayers
}

// breathe waits while destaging shall yield.
func (g *Group) breathe() {
	for g.yields() && g.pause(paceTick) {
	}
}
