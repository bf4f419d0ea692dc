package intercept

import (
	"errors"
	"log/slog"
	"time"

	"github.com/weirstor/weir/intercept/vfs"
	"github.com/weirstor/weir/intercept/wal"
)

// Errors of the package. Those that a Device returns are the sentinels of package target.
var (
	ErrExists      = errors.New("exists already")
	ErrNotFound    = errors.New("does not exist")
	ErrNotGroup    = errors.New("folder holds no group")
	ErrInUse       = errors.New("in use by another process")
	ErrArgument    = errors.New("not acceptable")
	ErrBusy        = errors.New("not possible yet")
	ErrImage       = errors.New("image can not be adopted")
	ErrOutstanding = errors.New("an epoch is handed out already")
	ErrUnresolved  = errors.New("it is not known whether the interval that was sent is committed")
)

// DamageError names damage in what had been made durable; Open returns it and the group does not open.
type DamageError = wal.DamageError

// Options say how a group works. The zero Options are good ones, without a sealing interval.
type Options struct {
	LogBudget     int64         // bytes that the log may take on disk; 0: 4 GiB. At least four segments
	SegmentBytes  int64         // length of a log segment, fixed when the group is created; 0: 32 MiB, less if the budget is small
	EpochInterval time.Duration // a epoch that holds anything is sealed after this time; 0: only by size and on request
	EpochBytes    int64         // an epoch is sealed when it takes this much of the log; 0: 64 MiB, at most a quarter of LogBudget
	SpaceWait     time.Duration // how long a write waits for room in the log before target.ErrNoSpace; 0: 20 s
	Logger        *slog.Logger  // nil: nothing is logged
	FS            vfs.FS        // nil: that of the operating system

	// OnDegraded, when set, is told when mode sync stops waiting for commits, and when it waits again; with no lock held.
	OnDegraded func(degraded bool, why string)

	Now func() time.Time

	retry      time.Duration // between tries after a failure that may pass; 0: 1 s
	foreground bool          // the destager runs at normal priority
	pieceMin   int64         // bytes of a first sync that an epoch takes along at least; 0: 32 MiB
	pieceMax   int64         // and at most; 0: 1 GiB
}

const (
	defaultLogBudget    = 4 << 30
	defaultSegmentBytes = 32 << 20
	defaultEpochBytes   = 64 << 20
	defaultSpaceWait    = 20 * time.Second
	defaultRetry        = time.Second
	segmentsMin         = 4
)

// withDefaults fills in what is not set.
func (o Options) withDefaults() Options {
	if o.LogBudget == 0 {
		o.LogBudget = defaultLogBudget
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = min(defaultSegmentBytes, o.LogBudget/8) / wal.PageBytes * wal.PageBytes
		o.SegmentBytes = max(o.SegmentBytes, 16*wal.PageBytes)
	}
	if o.EpochBytes == 0 {
		o.EpochBytes = defaultEpochBytes
	}
	o.EpochBytes = min(o.EpochBytes, o.LogBudget/4)
	if o.SpaceWait == 0 {
		o.SpaceWait = defaultSpaceWait
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.retry == 0 {
		o.retry = defaultRetry
	}
	if o.pieceMin == 0 {
		o.pieceMin = pieceBytesMin
	}
	if o.pieceMax == 0 {
		o.pieceMax = pieceBytesMax
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// logOptions are those of the group's log, whose segments have segmentBytes.
func (g *Group) logOptions(segmentBytes int64) wal.Options {
	return wal.Options{
		FS: g.opt.FS, Dir: g.dir, Group: g.id,
		SegmentBytes: segmentBytes,
		SegmentsMax:  int(max(segmentsMin, g.opt.LogBudget/segmentBytes)),
		SpaceWait:    g.opt.SpaceWait,
		Retry:        g.opt.retry,
		OnFull:       g.pressure,
		OnFail:       g.stacks.notify,
		Logger:       g.opt.Logger,
	}
}
