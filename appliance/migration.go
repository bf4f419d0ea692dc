package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/migrate"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
)

// migration is the move of the gateway's group, at most one at a time. Safe for concurrent use.
type migration struct {
	g     *gateway
	store migrate.Store
	pace  pace

	mu      sync.Mutex
	m       *migrate.Migration // nil: there never was one; changed by the running cutover only while there is one
	running context.CancelFunc // ends the running cutover; nil: none runs
	ended   chan struct{}      // closed when the running cutover is over
	closed  bool
}

// openMigration reads what an earlier process left. A cutover that was cut off before its point of no return is over, for
// the writes that it held go on; behind it the source stays fenced.
func openMigration(g *gateway, dir string) (*migration, error) {
	x := &migration{g: g, store: migrate.NewStore(dir)}
	var err error
	if x.m, err = x.store.Load(); err != nil || x.m == nil {
		return x, err
	}
	switch x.m.State {
	case migrate.Cutting:
		x.m.State, x.m.Error = migrate.Following, "the process ended during the cutover; nothing was given away"
		return x, x.store.Save(x.m)
	case migrate.Fenced:
		err := fmt.Errorf("the cutover of migration %s is behind its point of no return", x.m.ID)
		g.parted.set(err)
		g.group.Fence(err)
		g.system.event("error", "migration.fenced", fmt.Sprintf("group %s is read-only: %v; go on with: weir migrate cutover", groupName, err))
	}
	return x, nil
}

// close ends a running cutover, and the writes that one behind its point of no return holds, for it may not have come
// to its fence: doors that close would wait for them.
func (x *migration) close() error {
	x.mu.Lock()
	x.closed = true
	running, ended := x.running, x.ended
	x.mu.Unlock()
	if running != nil {
		running()
		<-ended
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m != nil && x.m.State == migrate.Fenced {
		x.g.group.Fence(fmt.Errorf("the cutover of migration %s is behind its point of no return", x.m.ID))
	}
	return nil
}

// begin claims the migration for a cutover.
func (x *migration) begin(ctx context.Context) (context.Context, *migrate.Migration, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closed:
		return nil, nil, fmt.Errorf("%w: weir is stopping", api.ErrUnavailable)
	case x.running != nil:
		return nil, nil, fmt.Errorf("%w: a cutover is running", api.ErrConflict)
	case !x.m.Active():
		return nil, nil, api.Advise(fmt.Errorf("%w: no migration is active", api.ErrConflict), "begin with: weir migrate start")
	}
	ctx, x.running = context.WithCancel(ctx)
	x.ended = make(chan struct{})
	m := *x.m
	return ctx, &m, nil
}

// finish shows what became of a cutover.
func (x *migration) finish(m *migrate.Migration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.m = m
	x.running()
	x.running = nil
	close(x.ended)
}

// migrationUp returns the gateway's migration for a group.
func (s *System) migrationUp(ctx context.Context, group string) (*migration, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return nil, err
	}
	_, _, err = s.groupID(ctx, group)
	return g.migration, err
}

// Migration implements admin.Migrations.
func (s *System) Migration(ctx context.Context, group string) (api.Migration, error) {
	x, err := s.migrationUp(ctx, group)
	if err != nil {
		return api.Migration{}, err
	}
	return x.describe(ctx)
}

// StartMigration implements admin.Migrations.
func (s *System) StartMigration(ctx context.Context, group string) (api.Migration, error) {
	x, err := s.migrationUp(ctx, group)
	if err != nil {
		return api.Migration{}, err
	}
	disks, err := x.check(ctx)
	if err != nil {
		return api.Migration{}, err
	}
	if err := x.start(disks); err != nil {
		return api.Migration{}, err
	}
	s.event("info", "migration.started", fmt.Sprintf("group %s moves to %d disks", groupName, len(disks)))
	return x.describe(ctx)
}

func (x *migration) start(disks []migrate.Disk) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.m.Active() {
		return api.Advise(fmt.Errorf("%w: migration %s is active", api.ErrConflict, x.m.ID), "see: weir migrate status")
	}
	m := &migrate.Migration{ID: ident.NewUUID().String(), State: migrate.Following, Started: time.Now(), Disks: disks}
	if err := x.store.Save(m); err != nil {
		return err
	}
	x.m = m
	return nil
}

// check returns the disks that the group moves to, if each volume has one and all can follow.
func (x *migration) check(ctx context.Context) ([]migrate.Disk, error) {
	if x.g.shipper == nil {
		return nil, api.Advise(fmt.Errorf("%w: replication is off", api.ErrUnavailable), "start with --replication on")
	}
	if err := x.g.stuck(); err != nil {
		return nil, err
	}
	all, err := x.g.system.Disks(ctx)
	if err != nil {
		return nil, err
	}
	var out []migrate.Disk
	for _, v := range x.g.group.Volumes() {
		n := len(out)
		for _, d := range all {
			if d.VolumeID != v.ID().String() {
				continue
			}
			if d.State == "conflict" || d.State == "failed" {
				return nil, fmt.Errorf("%w: disk %s of volume %s is in state %s: %s", api.ErrConflict, d.Place, d.Volume, d.State, d.Error)
			}
			out = append(out, migrate.Disk{ID: d.ID, Volume: d.Volume, Kind: d.Kind, Place: d.Place, Node: d.Node})
		}
		if len(out) == n {
			return nil, api.Advise(fmt.Errorf("%w: volume %s has no disk to move to", api.ErrConflict, v.Name()),
				"give it one: weir disk add %s raw /path/to/disk.img", v.Name())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the group has no volume", api.ErrConflict)
	}
	return out, nil
}

// AbortMigration implements admin.Migrations.
func (s *System) AbortMigration(ctx context.Context, group string) (api.Migration, error) {
	x, err := s.migrationUp(ctx, group)
	if err != nil {
		return api.Migration{}, err
	}
	if err := x.abort(); err != nil {
		return api.Migration{}, err
	}
	s.event("info", "migration.aborted", "the migration of group "+groupName+" was aborted; the disks go on following")
	return x.describe(ctx)
}

func (x *migration) abort() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.running != nil:
		return api.Advise(fmt.Errorf("%w: a cutover is running", api.ErrConflict), "interrupt it first")
	case !x.m.Active():
		return fmt.Errorf("%w: no migration is active", api.ErrConflict)
	case x.m.State == migrate.Fenced:
		return api.Advise(fmt.Errorf("%w: the cutover is behind its point of no return", api.ErrConflict),
			"finish it: weir migrate cutover; the source can then take the group back with: weir group takeover")
	}
	m := *x.m
	m.State, m.Ended = migrate.Aborted, time.Now()
	if err := x.store.Save(&m); err != nil {
		return err
	}
	x.m = &m
	return nil
}

// takenBack ends a migration that is behind its point of no return, because an operator decided about the group: its
// destination is given up, and the gateway may be written to again.
func (x *migration) takenBack(act string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.running != nil:
		return fmt.Errorf("%w: a cutover is running", api.ErrConflict)
	case x.m == nil || x.m.State != migrate.Fenced:
		return nil
	}
	m := *x.m
	m.State, m.Ended, m.Error = migrate.Aborted, time.Now(), "an operator decided to "+act+" the group behind the point of no return"
	if err := x.store.Save(&m); err != nil {
		return err
	}
	x.m = &m
	return nil
}

// Cutover implements admin.Migrations.
func (s *System) Cutover(ctx context.Context, group string, report func(api.Progress)) (api.Migration, error) {
	x, err := s.migrationUp(ctx, group)
	if err != nil {
		return api.Migration{}, err
	}
	run, m, err := x.begin(ctx)
	if err != nil {
		return api.Migration{}, err
	}
	s.event("warning", "migration.cutover", "cutover of group "+groupName+" has begun")
	err = func() error {
		defer x.finish(m)
		return migrate.Cutover(run, &cutover{x.g, report}, x.store, m, func(step migrate.Step) {
			report(api.Progress{What: string(step)})
		})
	}()
	if err != nil {
		s.event("error", "migration.cutover", fmt.Sprintf("cutover of group %s: %v", groupName, err))
		return api.Migration{}, cutoverError(m, err)
	}
	s.event("info", "migration.done", fmt.Sprintf("group %s was cut over at point %s, %.1f s after its writes began to wait", groupName, m.Point, m.Downtime))
	return x.describe(ctx)
}

// cutoverError says where a failed cutover has left the group.
func cutoverError(m *migrate.Migration, err error) error {
	if m.State == migrate.Fenced {
		return api.Advise(fmt.Errorf("cutover: %w", err), "the source is fenced; remove the cause and go on with: weir migrate cutover")
	}
	return api.Advise(fmt.Errorf("cutover: %w", err), "nothing was given away and the source goes on; remove the cause and try again")
}

// describe shows the migration and what a cutover would wait for.
func (x *migration) describe(ctx context.Context) (api.Migration, error) {
	x.mu.Lock()
	m := x.m
	running := x.running != nil
	x.mu.Unlock()
	if m == nil {
		return api.Migration{}, api.Advise(fmt.Errorf("%w: the group has no migration", api.ErrNotFound), "begin one with: weir migrate start")
	}
	out := api.Migration{ID: m.ID, Group: groupName, State: string(m.State), Started: m.Started, Ended: m.Ended, Point: m.Point,
		Downtime: m.Downtime, Error: m.Error, Waiting: x.waiting()}
	if running {
		out.State = string(migrate.Cutting)
	}
	for _, r := range m.Steps {
		out.Steps = append(out.Steps, api.MigrationStep{Step: string(r.Step), Began: r.Began, Seconds: r.Seconds, Done: r.Done, Error: r.Error})
	}
	now, err := x.g.system.Disks(ctx)
	if err != nil && !errors.Is(err, api.ErrUnavailable) {
		return out, err
	}
	for _, d := range m.Disks {
		disk := api.MigrationDisk{ID: d.ID, Volume: d.Volume, Kind: d.Kind, Place: d.Place, Node: d.Node}
		for _, n := range now {
			if n.ID == d.ID {
				disk.State, disk.Behind = n.State, n.Behind
			}
		}
		out.Disks = append(out.Disks, disk)
	}
	return out, nil
}

// waiting is what is not committed, and how long it would take.
func (x *migration) waiting() api.MigrationLag {
	p := x.g.group.Pending()
	out := api.MigrationLag{Bytes: p.Bytes + p.ActiveBytes}
	if !p.OldestSealed.IsZero() {
		out.Seconds = time.Since(p.OldestSealed).Seconds()
	}
	if x.g.shipper == nil {
		return out
	}
	st := x.g.shipper.Status()
	if rate := x.pace.rate(time.Now(), committedBytes(st)); rate > 0 && st.State == replicate.Following {
		out.Estimate = float64(out.Bytes) / rate
	}
	return out
}

// committedBytes is what hosts wrote of the epochs that this process has committed.
func committedBytes(st replicate.Status) int64 {
	n := int64(0)
	for _, counts := range st.Volumes {
		for _, c := range counts {
			n += int64(c.HostBytes)
		}
	}
	return n
}

// pace is the rate at which epochs were committed lately. Safe for concurrent use.
type pace struct {
	mu    sync.Mutex
	at    time.Time
	bytes int64
	last  float64
}

// paceWindow is the time over which a rate is taken.
const paceWindow = 2 * time.Second

// rate notes how much was committed by now and returns bytes per second; 0 while nothing was committed.
func (p *pace) rate(now time.Time, bytes int64) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch since := now.Sub(p.at); {
	case p.at.IsZero():
		p.at, p.bytes = now, bytes
	case since >= paceWindow:
		if bytes > p.bytes {
			p.last = float64(bytes-p.bytes) / since.Seconds()
		}
		p.at, p.bytes = now, bytes
	}
	return p.last
}
