package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
)

const (
	commitPoll = 5 * time.Millisecond // between two looks at the ledger
	tellEvery  = time.Second / 4      // between two reports of the same progress
	diskTurn   = time.Second          // of waiting for disks, between two looks at their state
	diskGrace  = 15 * time.Second     // that a disk may be out of reach before waiting for it is given up
)

// Wait implements admin.Worker.
func (s *System) Wait(ctx context.Context, volume string, report func(api.Progress)) (api.WaitResult, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.WaitResult{}, err
	}
	began := time.Now()
	v, err := g.volume(volume)
	if err != nil {
		return api.WaitResult{}, err
	}
	end, err := g.group.Seal(ctx, "")
	if err != nil {
		return api.WaitResult{}, fmt.Errorf("sealing: %w", err)
	}
	point, err := g.firstSynced(ctx, v, end, report)
	if err != nil {
		return api.WaitResult{}, err
	}
	if err := g.disks.wait(ctx, v.Name()); err != nil {
		return api.WaitResult{}, err
	}
	disks, err := g.followed(ctx, point, v.ID(), report)
	if err != nil {
		return api.WaitResult{}, err
	}
	return api.WaitResult{Volume: v.Name(), Point: apiPoint(point), Committed: true, Disks: disks, Seconds: time.Since(began).Seconds()}, nil
}

// committed returns a committed point that holds everything up to end.
func (g *gateway) committed(ctx context.Context, end ident.Seq, report func(api.Progress)) (ident.Point, error) {
	if g.shipper == nil {
		return ident.Point{}, api.Advise(fmt.Errorf("%w: replication is off", api.ErrUnavailable), "start with --replication on")
	}
	tick := time.NewTicker(commitPoll)
	defer tick.Stop()
	start := g.group.Pending().Epochs
	var told time.Time
	last := -1
	for {
		if p := g.group.Ledger().Committed; p.End >= end {
			return p, nil
		}
		if err := g.stuck(); err != nil {
			return ident.Point{}, err
		}
		pending := g.group.Pending()
		start = max(start, pending.Epochs)
		if pending.Epochs != last || time.Since(told) >= tellEvery {
			last, told = pending.Epochs, time.Now()
			report(api.Progress{What: "committing", Done: int64(start - pending.Epochs), Total: int64(start), Unit: "points"})
		}
		select {
		case <-ctx.Done():
			return ident.Point{}, waitError(ctx, g.shipper.Status().Reason)
		case <-tick.C:
		}
	}
}

// stuck returns why nothing will be committed without an operator.
func (g *gateway) stuck() error {
	if err := g.group.Err(); err != nil {
		return err
	}
	st := g.shipper.Status()
	switch st.State {
	case replicate.Blocked, replicate.Fenced, replicate.Stopped:
		return fmt.Errorf("%w: replication is %s: %s", api.ErrUnavailable, st.State, st.Reason)
	}
	return nil
}

// waitError says what a wait that ended with its context was waiting for.
func waitError(ctx context.Context, reason string) error {
	if reason == "" {
		reason = "the provider has not committed it yet"
	}
	if cause := context.Cause(ctx); errors.Is(cause, api.ErrTimeout) {
		return fmt.Errorf("%w: %s", cause, reason)
	}
	return fmt.Errorf("%w: %w: %s", api.ErrTimeout, ctx.Err(), reason)
}

// followed returns the disks of a volume when each shows point or a later one. A disk that will not get there without an
// operator is an error.
func (g *gateway) followed(ctx context.Context, point ident.Point, volume ident.VolumeID, report func(api.Progress)) ([]api.Disk, error) {
	calls := g.system.cluster.calls
	var failing time.Time // since when a disk is out of reach; zero: none is
	for {
		turn, cancel := context.WithTimeout(ctx, diskTurn)
		_, err := calls.WaitPoint(turn, &rpc.WaitPointRequest{Point: rpc.FromPoint(point), Disks: true})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && turn.Err() == nil {
			return nil, clusterError(err)
		}
		disks, listErr := g.disksOf(ctx, volume)
		if listErr != nil && ctx.Err() == nil {
			return nil, listErr
		}
		if err == nil {
			return disks, nil
		}
		if err := refusing(disks, &failing, time.Now()); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, waitError(ctx, "disks have not caught up")
		}
		report(diskProgress(disks, point))
	}
}

func (g *gateway) disksOf(ctx context.Context, volume ident.VolumeID) ([]api.Disk, error) {
	all, err := g.system.Disks(ctx)
	var out []api.Disk
	for _, d := range all {
		if d.VolumeID == volume.String() {
			out = append(out, d)
		}
	}
	return out, err
}

// refusing returns why a disk will not follow without an operator: it was changed by somebody else, or it has been out of
// reach since failing, which refusing keeps, for longer than diskGrace.
func refusing(disks []api.Disk, failing *time.Time, now time.Time) error {
	failed := slices.IndexFunc(disks, func(d api.Disk) bool { return d.State == "failed" })
	switch conflict := slices.IndexFunc(disks, func(d api.Disk) bool { return d.State == "conflict" }); {
	case conflict >= 0:
		d := disks[conflict]
		return api.Advise(fmt.Errorf("%w: disk %s of volume %s: %s", api.ErrConflict, d.Place, d.Volume, d.Error),
			"weir disk list names the ranges; detach the disk and add it again with --policy resync or overwrite")
	case failed < 0:
		*failing = time.Time{}
	case failing.IsZero():
		*failing = now
	case now.Sub(*failing) > diskGrace:
		d := disks[failed]
		return api.Advise(fmt.Errorf("%w: the write is committed, but disk %s at node %s does not follow: %s", api.ErrUnavailable, d.Place, d.Node, d.Error),
			"bring the node or the disk back, or weir disk detach %s", d.ID)
	}
	return nil
}

func diskProgress(disks []api.Disk, point ident.Point) api.Progress {
	p := api.Progress{What: "disks follow", Total: int64(len(disks)), Unit: "disks"}
	for _, d := range disks {
		if d.Point.End >= uint64(point.End) {
			p.Done++
		}
	}
	return p
}
