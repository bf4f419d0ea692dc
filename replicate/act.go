package replicate

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/codec"
)

// Act is what an operator decided for a group that its gateway may not simply go on with.
type Act string

const (
	None      Act = ""          // nothing was decided
	Takeover  Act = "takeover"  // take the group from the gateway that holds it; the histories must be the same
	Overwrite Act = "overwrite" // take it, and make this gateway's content the next point whatever the head holds
	// Restored is a takeover by a gateway that Restore has just filled from the head.
	Restored Act = "restored"
)

// replaced is a head that the gateway's content replaces.
type replaced struct {
	head    ident.Point
	volumes []VolumeState
}

// acted makes durable that the operator's act is done, once it is.
func (s *Shipper) acted() error {
	if s.act == None || s.over != nil {
		return nil
	}
	if s.opt.OnAct != nil {
		if err := s.opt.OnAct(); err != nil {
			return fmt.Errorf("remembering that %q is done: %w", s.act, err)
		}
	}
	s.opt.Logger.Info("the operator's decision is carried out", "group", s.opt.GroupName, "act", s.act)
	s.act = None
	return nil
}

// replace begins to overwrite the session's head: the next epoch is a point of a new timeline that ends with all that
// was written so far. What is replaced stays as a named point.
func (s *Shipper) replace(ctx context.Context, session Session) error {
	if !session.Head.IsZero() {
		name := fmt.Sprintf("replaced-%s-%d", session.Head.Timeline.String()[:8], session.Head.End)
		if err := s.opt.Content.Keep(ctx, session.Head, name); err != nil {
			return err
		}
	}
	s.over = &replaced{head: session.Head, volumes: session.Volumes}
	if s.held != nil { // of an earlier session; its commit did not happen
		s.held.commit, s.held.inline, s.held.sent = nil, nil, false
		return nil
	}
	group := s.opt.Group
	if _, err := group.NewTimeline(); err != nil {
		return fmt.Errorf("beginning a new timeline: %w", err)
	}
	if _, err := group.Seal(ctx, "overwrite"); err != nil {
		return fmt.Errorf("sealing what replaces %s: %w", session.Head, err)
	}
	s.opt.Logger.Warn("this gateway's content replaces the cluster's head", "group", s.opt.GroupName, "head", session.Head)
	return nil
}

// prepareOver packages the held epoch as what turns the replaced head into the group's content.
func (s *Shipper) prepareOver(ctx context.Context, term uint64) error {
	e := s.held.epoch
	states := make(map[ident.VolumeID]leaf.State)
	was := make(map[ident.VolumeID]VolumeState)
	for _, v := range s.over.volumes {
		was[v.Volume], states[v.Volume] = v, v.State
	}
	volumes := append([]intercept.EpochVolume(nil), e.Volumes()...)
	for i := range volumes {
		if volumes[i].Partial {
			return fmt.Errorf("%w: volume %s: delete it here and add it anew, or restore", ErrPartial, volumes[i].Name)
		}
		if err := s.compare(ctx, &volumes[i], was[volumes[i].ID]); err != nil {
			return fmt.Errorf("volume %s: comparing with %s: %w", volumes[i].Name, s.over.head, err)
		}
	}
	opt := s.opt.Codec
	opt.IndexBytes = -1 // the old content is far away: only what differs is read of it
	p := *s.packager
	p.encoder = codec.NewEncoder(opt)
	return s.pack(ctx, &p, term, volumes, s.over.head, states)
}

// compare makes v the change from was, a volume at the replaced head, to what v is now. was is zero when the volume is
// not there.
func (s *Shipper) compare(ctx context.Context, v *intercept.EpochVolume, was VolumeState) error {
	if was.Size > v.Size {
		return fmt.Errorf("the cluster's volume has %d bytes, this one %d; a volume can only grow: resize it first", was.Size, v.Size)
	}
	v.Created = was.Size == 0
	v.Old = &remoteView{ctx: ctx, content: s.opt.Content, point: s.over.head, volume: v.ID, size: was.Size}
	return inBackground(func() (err error) {
		v.Extents, err = differences(ctx, s.opt.Content, s.over.head, v, was.Size)
		return err
	})
}
