package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// System does what the steps say. Every method may be called again after it has failed or succeeded, also by a later
// process.
type System interface {
	Quiesce(ctx context.Context) error
	// Resume undoes Quiesce and Hold: the source works again. It is called without the caller's context.
	Resume() error
	Hold(ctx context.Context) error
	// Commit returns the point that holds everything that was acknowledged at the source, once it is on every disk.
	Commit(ctx context.Context, disks []Disk) (point string, err error)
	Verify(ctx context.Context, disks []Disk, point string) error
	// Fence takes the group away from the source for good.
	Fence(ctx context.Context, id, point string) error
	Promote(ctx context.Context, disks []Disk) error
	Start(ctx context.Context, disks []Disk, point string) error
}

// Cutover takes m through its steps; a step that was done behind the point of no return is not repeated. Before that
// point a failure, or the end of ctx, undoes what was done and leaves the migration following; behind it the migration
// stays fenced, and Cutover is called again. report is called as each step begins; m is saved before and after each.
func Cutover(ctx context.Context, sys System, store Store, m *Migration, report func(Step)) error {
	if !m.Active() {
		return fmt.Errorf("the migration is %s", m.State)
	}
	if m.State != Fenced {
		m.State, m.Steps, m.Point, m.Downtime, m.Error = Cutting, nil, "", 0, ""
	}
	c := &cutover{System: sys, store: store, m: m, report: report}
	err := c.steps(ctx)
	if err == nil {
		m.State, m.Ended, m.Error = Done, time.Now(), ""
		return store.Save(m)
	}
	m.Error = err.Error()
	if m.State != Fenced {
		m.State = Following
		if rerr := sys.Resume(); rerr != nil {
			err = errors.Join(err, fmt.Errorf("resuming the source: %w", rerr))
		}
	}
	return errors.Join(err, store.Save(m))
}

type cutover struct {
	System
	store  Store
	m      *Migration
	report func(Step)
}

func (c *cutover) steps(ctx context.Context) error {
	for _, s := range steps {
		if c.m.State == Fenced && c.m.finished(s) {
			continue
		}
		if err := c.step(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// step does one step and records what it took.
func (c *cutover) step(ctx context.Context, s Step) error {
	c.report(s)
	r := Record{Step: s, Began: time.Now()}
	if s == Fence {
		c.m.State = Fenced // before it happens: from here on a later process must go on
	}
	if err := c.store.Save(c.m); err != nil {
		return err
	}
	err := c.do(ctx, s)
	r.Seconds, r.Done = time.Since(r.Began).Seconds(), err == nil
	if err != nil {
		r.Error = err.Error()
	}
	c.m.Steps = append(c.m.without(s), r)
	c.m.Downtime = c.downtime()
	return errors.Join(err, c.store.Save(c.m))
}

// without are the records of the other steps.
func (m *Migration) without(s Step) []Record {
	var out []Record
	for _, r := range m.Steps {
		if r.Step != s {
			out = append(out, r)
		}
	}
	return out
}

func (c *cutover) do(ctx context.Context, s Step) (err error) {
	switch s {
	case Quiesce:
		return c.Quiesce(ctx)
	case Hold:
		return c.Hold(ctx)
	case Commit:
		c.m.Point, err = c.Commit(ctx, c.m.Disks)
		return err
	case Verify:
		return c.Verify(ctx, c.m.Disks, c.m.Point)
	case Fence:
		return c.Fence(ctx, c.m.ID, c.m.Point)
	case Promote:
		return c.Promote(ctx, c.m.Disks)
	}
	return c.Start(ctx, c.m.Disks, c.m.Point)
}

// downtime is the time from the moment at which writes began to wait to the end of the last step.
func (c *cutover) downtime() float64 {
	var held, end time.Time
	for _, r := range c.m.Steps {
		if r.Step == Hold {
			held = r.Began
		}
		end = r.Began.Add(time.Duration(r.Seconds * float64(time.Second)))
	}
	if held.IsZero() {
		return 0
	}
	return end.Sub(held).Seconds()
}
