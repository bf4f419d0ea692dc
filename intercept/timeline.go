package intercept

import (
	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/ident"
)

// NewTimeline begins a new history of the group: what is committed from here on does not continue the points that were
// committed before. An interval whose commit may have been sent is taken back: on the old timeline it does not count
// any more. Durable on return. No epoch may be handed out.
func (g *Group) NewTimeline() (ident.Timeline, error) {
	t := ident.Timeline{UUID: ident.NewUUID()}
	return t, g.update(func(s *checkpoint.State) { s.Timeline, s.Sent = t, nil })
}
