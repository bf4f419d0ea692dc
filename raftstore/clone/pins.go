package clone

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirstor/weir/intercept/ident"
)

const notePrefix = "clone "

// note says for people what a pin is for.
func note(s *Spec) string { return notePrefix + s.Name }

// IsNote reports whether a pin with the note is one of a clone.
func IsNote(note string) bool { return strings.HasPrefix(note, notePrefix) }

// nudge has the pins brought in order soon.
func (s *Set) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keepPins brings the pins in order when something may have left them behind, until ctx ends.
func (s *Set) keepPins(ctx context.Context) {
	defer close(s.joined)
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-again:
		}
		again = nil
		if err := s.orderPins(ctx); err != nil && ctx.Err() == nil {
			s.opt.Logger.Info("pins of clones are not in order yet", "again_in", s.opt.Retry, "err", err)
			again = time.After(s.opt.Retry)
		}
	}
}

// orderPins releases pins without a clone that needs them: one that was deleted or filled, or whose making a crash cut
// off. A clone that needs its point and lost its pin gets it again.
func (s *Set) orderPins(ctx context.Context) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	have, err := s.opt.Pins.Pinned(ctx)
	if err != nil {
		return fmt.Errorf("list pins: %w", err)
	}
	pinned := map[ident.UUID]bool{}
	wanted := map[ident.UUID]*Spec{}
	for _, c := range s.List() {
		if !c.Filled() {
			wanted[c.spec.ID] = c.spec
		}
	}
	for _, id := range have {
		pinned[id] = true
		if wanted[id] == nil {
			if err := s.opt.Pins.Unpin(ctx, id); err != nil {
				return fmt.Errorf("release pin %s: %w", id, err)
			}
		}
	}
	for id, spec := range wanted {
		if pinned[id] || spec.Point.IsZero() {
			continue
		}
		if err := s.opt.Pins.Pin(ctx, id, spec.Point, note(spec)); err != nil {
			return fmt.Errorf("pin the point of clone %s again: %w", spec.Name, err)
		}
	}
	return nil
}
