package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/target"
)

// Options configure a Disk.
type Options struct {
	Dir         string          // folder for the sidecars of disks that have no place of their own for one
	FS          vfs.FS          // of sidecars; default: the operating system's
	OpenBacking OpenBackingFunc // default OpenBacking
	Logger      *slog.Logger    // default: discard
}

// Disk is one disk that follows a volume. Follow, Verify and Close exclude each other; Status may be called at any time.
type Disk struct {
	spec Spec
	opt  Options

	work    sync.Mutex // held by Follow, Verify, Close; guards what follows
	backing Backing    // nil: not opened yet
	created bool
	side    *sidecar // nil: the disk is not adopted yet

	mu     sync.Mutex
	status Status
}

// New returns a disk that has not been looked at yet.
func New(spec Spec, opt Options) (*Disk, error) {
	if spec.Policy == "" {
		spec.Policy = Refuse
	}
	if err := spec.Valid(); err != nil {
		return nil, err
	}
	if opt.FS == nil {
		opt.FS = vfs.Default
	}
	if opt.OpenBacking == nil {
		opt.OpenBacking = OpenBacking
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	opt.Logger = opt.Logger.With("disk", spec.ID, "place", spec.Place)
	return &Disk{spec: spec, opt: opt, status: Status{Spec: spec, State: Fresh}}, nil
}

// Spec returns what the disk was made with.
func (d *Disk) Spec() Spec { return d.spec }

// Status returns the condition of the disk.
func (d *Disk) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

func (d *Disk) set(f func(s *Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.status)
}

// sidecarPath is where the disk's sidecar is: beside a raw file, in the node's folder for everything else.
func (d *Disk) sidecarPath() string {
	if d.spec.Kind == Raw {
		return d.spec.Place + ".weir"
	}
	return d.opt.FS.PathJoin(d.opt.Dir, d.spec.ID.String()+".weir")
}

// Open takes the disk for this process and reads its sidecar, so that Shows tells which points the disk needs. Follow
// does it too.
func (d *Disk) Open() error {
	d.work.Lock()
	defer d.work.Unlock()
	return d.failed(d.open())
}

func (d *Disk) open() error {
	if d.backing != nil {
		return nil
	}
	b, created, err := d.opt.OpenBacking(d.spec)
	if err != nil {
		return err
	}
	side, err := loadSidecar(d.opt.FS, d.sidecarPath())
	if err == nil && side != nil && (side.Volume != d.spec.Volume || side.Group != d.spec.Group) {
		err = fmt.Errorf("%w: its sidecar says that it follows volume %s of group %s", ErrConflict, side.Volume, side.Group)
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	d.backing, d.created, d.side = b, created, side
	if side != nil {
		d.set(func(s *Status) { s.Point, s.Number = side.From.Point, side.From.Number })
	}
	return nil
}

// Needs returns the numbers of the points that the disk needs to go on: what it shows and, in the middle of a change,
// what it changes to.
func (d *Disk) Needs() []uint64 {
	d.work.Lock()
	defer d.work.Unlock()
	return d.needs()
}

func (d *Disk) needs() []uint64 {
	switch {
	case d.side == nil:
		return nil
	case d.side.Phase == phaseApplying:
		return []uint64{d.side.From.Number, d.side.To.Number}
	}
	return []uint64{d.side.From.Number}
}

// Close ends the use of the disk. Its content and sidecar stay.
func (d *Disk) Close() error {
	d.work.Lock()
	defer d.work.Unlock()
	if d.backing == nil {
		return nil
	}
	err := d.backing.Close()
	d.backing = nil
	return err
}

// Follow brings the disk to the volume's newest point. It returns without error when the disk shows it, and also when
// there is none yet. ErrConflict stays until the policy of the disk is changed; other errors may go away.
func (d *Disk) Follow(ctx context.Context, v Volume) error {
	d.work.Lock()
	defer d.work.Unlock()
	err := d.open()
	if err == nil {
		if err = d.follow(ctx, v); err != nil && !errors.Is(err, ErrConflict) {
			err = errors.Join(err, d.reconnect())
		}
	}
	return d.failed(err)
}

// reconnect lets go of an export after an error: its connection may have ended, and the next call opens it again.
func (d *Disk) reconnect() error {
	if d.spec.Kind != NBD || d.backing == nil {
		return nil
	}
	err := d.backing.Close()
	d.backing = nil
	return err
}

// failed puts an error into the status.
func (d *Disk) failed(err error) error {
	if err == nil {
		return nil
	}
	d.set(func(s *Status) {
		s.Err, s.State = err, Failed
		if errors.Is(err, ErrConflict) {
			s.State = Conflict
		}
	})
	return fmt.Errorf("disk %s at %s: %w", d.spec.ID, d.spec.Place, err)
}

func (d *Disk) follow(ctx context.Context, v Volume) error {
	newest, err := v.Newest(d.needs()...)
	if err != nil {
		return err
	}
	if newest == nil {
		return nil
	}
	if d.side == nil {
		return d.adopt(ctx, v, newest)
	}
	switch d.side.Phase {
	case phaseApplying:
		if err := d.redo(ctx, v, newest); err != nil {
			return err
		}
	case phaseConflict:
		if d.spec.Policy == Refuse {
			return d.conflict(d.side.From, d.side.Blocks, "found earlier")
		}
		return d.resync(ctx, newest)
	}
	if d.side.From.Point == newest.Point() {
		d.clean()
		return nil
	}
	return d.apply(ctx, v, newest)
}

// clean says that the disk shows what its sidecar says.
func (d *Disk) clean() {
	d.set(func(s *Status) {
		s.State, s.Err, s.Conflicts, s.Target = Clean, nil, nil, ident.Point{}
		s.Point, s.Number = d.side.From.Point, d.side.From.Number
	})
}

// conflict records that blocks of the disk are not what they should be, and returns the error that says so.
func (d *Disk) conflict(shows mark, blocks runs, how string) error {
	size, err := d.backing.Size()
	if err != nil {
		return err
	}
	side := d.newSidecar(phaseConflict, shows, mark{})
	side.Blocks = blocks
	if d.side == nil || d.side.Phase != phaseConflict {
		if err := side.store(d.opt.FS, d.sidecarPath()); err != nil {
			return err
		}
	}
	d.side = side
	list := blocks.extents(size)
	d.set(func(s *Status) { s.Conflicts = list })
	err = fmt.Errorf("%w: %d blocks are not what point %v has (%s)", ErrConflict, blocks.blocks(), shows.Point, how)
	if !shows.Known {
		err = fmt.Errorf("%w: it has content and no sidecar; policy resync or overwrite adopts it", ErrConflict)
	}
	if len(list) > 0 {
		err = fmt.Errorf("%w, the first at %d+%d", err, list[0].Off, list[0].Len)
	}
	return err
}

func (d *Disk) newSidecar(p phase, from, to mark) *sidecar {
	return &sidecar{Phase: p, Disk: d.spec.ID, Group: d.spec.Group, Volume: d.spec.Volume, From: from, To: to}
}

func markOf(c Content) mark {
	return mark{Known: true, Number: c.Number(), Point: c.Point(), Size: c.Size()}
}

// adopt begins with a disk that has no sidecar. One that is all zero is as good as a new one.
func (d *Disk) adopt(ctx context.Context, v Volume, newest Content) error {
	d.set(func(s *Status) { s.State = Checking })
	blocks, err := d.content(ctx)
	if err != nil {
		return err
	}
	size, err := d.backing.Size()
	if err != nil {
		return err
	}
	switch {
	case len(blocks) == 0:
		d.side = d.newSidecar(phaseClean, mark{Known: true, Size: size}, mark{})
		return d.apply(ctx, v, newest)
	case d.spec.Policy == Refuse:
		return d.conflict(mark{}, blocks, "not empty")
	}
	return d.resync(ctx, newest)
}

// Ranges of a status or report.
func appendRange(list []target.Extent, off, n int64) []target.Extent {
	if k := len(list) - 1; k >= 0 && list[k].Off+list[k].Len == off {
		list[k].Len += n
		return list
	}
	if len(list) == ConflictsMax {
		return list
	}
	return append(list, target.Extent{Off: off, Len: n})
}
