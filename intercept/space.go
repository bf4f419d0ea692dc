package intercept

import (
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/vfs"
)

// space is what of the disk's room is missing.
type space struct {
	sync.Mutex
	base error // why the last try to destage failed; nil: it did not, or not for want of room
}

// note records the outcome of a try to destage, and reports whether it is news.
func (s *space) note(err error) (news bool) {
	s.Lock()
	defer s.Unlock()
	if !vfs.IsNoSpace(err) {
		err = nil
	}
	news = (err == nil) != (s.base == nil)
	s.base = err
	return news
}

// noSpace says what there is no room for on the disk, and since when writes wait for room in the log.
func (g *Group) noSpace() (what string, fullSince time.Time) {
	full, reason := g.log.Full()
	g.space.Lock()
	defer g.space.Unlock()
	switch {
	case g.space.base != nil:
		what = g.space.base.Error()
	case reason != nil:
		what = reason.Error()
	}
	return what, full
}
