package appliance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
)

const firstSyncPoll = 100 * time.Millisecond // between two looks at how far it is

// checkImage refuses images that this process uses for something else.
func (s *System) checkImage(path string) error {
	if path == "" {
		return nil
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: image %q: an absolute path is wanted", api.ErrInvalid, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%w: image: %w", api.ErrInvalid, err)
	}
	data, err := filepath.EvalSymlinks(s.cfg.Data)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(data, real); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return fmt.Errorf("%w: image %s lies in the data folder", api.ErrInvalid, path)
	}
	return nil
}

// imageError says what to do about an image that can not be adopted.
func imageError(err error) error {
	switch {
	case errors.Is(err, intercept.ErrImage):
		return fmt.Errorf("%w: %w", api.ErrInvalid, err)
	case errors.Is(err, intercept.ErrBusy):
		return api.Advise(fmt.Errorf("%w: %w", api.ErrConflict, err), "bring the provider back, so that it can be committed, and try again")
	case errors.Is(err, intercept.ErrInUse):
		return api.Advise(fmt.Errorf("%w: %w", api.ErrConflict, err), "shut down what uses it, or unmount it, and try again")
	}
	return nil
}

// describeFirstSync returns how far the first sync of a volume is; nil when it is through.
func describeFirstSync(v *intercept.Volume) *api.FirstSync {
	f, going := v.FirstSync()
	if !going {
		return nil
	}
	out := &api.FirstSync{TotalBytes: f.Total, LeftBytes: f.Left, BytesPerSecond: f.Rate}
	if f.Rate > 0 {
		out.SecondsLeft = float64(f.Left) / f.Rate
	}
	return out
}

// firstSynced returns a committed point that holds all of a volume and everything up to end.
func (g *gateway) firstSynced(ctx context.Context, v *intercept.Volume, end ident.Seq, report func(api.Progress)) (ident.Point, error) {
	tick := time.NewTicker(firstSyncPoll)
	defer tick.Stop()
	for {
		p, err := g.committed(ctx, end, report)
		if err != nil {
			return p, err
		}
		f, going := v.FirstSync()
		if !going {
			return g.group.Ledger().Committed, nil
		}
		if err := g.stuck(); err != nil {
			return p, err
		}
		report(api.Progress{What: "first sync", Done: f.Total - f.Left, Total: f.Total, Unit: "bytes"})
		select {
		case <-ctx.Done():
			return p, waitError(ctx, fmt.Sprintf("the first sync of volume %s has %d of %d bytes left", v.Name(), f.Left, f.Total))
		case <-tick.C:
		}
	}
}

// complete refuses what needs all of each volume at the provider while a first sync is under way.
func (g *gateway) complete(volumes ...*intercept.Volume) error {
	for _, v := range volumes {
		if f, going := v.FirstSync(); going {
			return api.Advise(fmt.Errorf("%w: the first sync of volume %s is at %d %%: the provider does not have all of it", api.ErrConflict, v.Name(),
				100*(f.Total-f.Left)/max(f.Total, 1)), "weir wait %s returns when it does", v.Name())
		}
	}
	return nil
}
