package intercept

import (
	"fmt"
	"sync/atomic"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
	"github.com/weirstor/weir/target"
)

var (
	_ target.Device      = (*Volume)(nil)
	_ target.BatchWriter = (*Volume)(nil)
)

// Volume is one volume of a group. It is a target.Device; every mutating call goes to the group's log.
type Volume struct {
	group     *Group
	number    uint32
	id        ident.VolumeID
	name      string
	blockSize int
	size      atomic.Int64
	base      *base
	tagger    *classify.Tagger
	stats     stats
	gone      atomic.Bool // deleted
}

// ID names the volume for its whole life.
func (v *Volume) ID() ident.VolumeID { return v.id }

// Name is unique in the group.
func (v *Volume) Name() string { return v.name }

// Tagger is what tags the writes of the volume in their path.
func (v *Volume) Tagger() *classify.Tagger { return v.tagger }

// Size implements target.Device.
func (v *Volume) Size() int64 { return v.size.Load() }

// BlockSize implements target.Device.
func (v *Volume) BlockSize() int { return v.blockSize }

// ReadOnly implements target.Device.
func (v *Volume) ReadOnly() bool { return false }

// check refuses a range outside the volume, and anything after the volume was deleted.
func (v *Volume) check(off, n int64) error {
	if v.gone.Load() {
		return fmt.Errorf("%w: volume %q was deleted", target.ErrClosed, v.name)
	}
	return target.CheckRange(off, n, v.size.Load())
}

func (v *Volume) checkWrite(off, n int64) error {
	if err := v.check(off, n); err != nil {
		return err
	}
	if err := v.group.log.Err(); err != nil {
		return v.group.deviceError(err)
	}
	return nil
}

// ReadAt implements target.Device. What it returns has been checked; damage is a *target.MediumError.
func (v *Volume) ReadAt(p []byte, off int64) error {
	if err := v.check(off, int64(len(p))); err != nil {
		return err
	}
	if len(p) == 0 {
		return nil
	}
	st := v.group.stacks.pin()
	defer v.group.stacks.unpin(st)
	if err := v.group.readThrough(st, v.base, p, off, nil); err != nil {
		return fmt.Errorf("volume %q: %w", v.name, err)
	}
	v.stats.read(int64(len(p)))
	return nil
}

// WriteAt implements target.Device.
func (v *Volume) WriteAt(p []byte, off int64, fua bool) error {
	w := writerPool.Get().(*writer)
	defer w.done()
	w.one[0] = target.WriteOp{Data: p, Off: off, FUA: fua}
	w.write(v, w.one[:])
	return w.one[0].Err
}

// WriteBatch implements target.BatchWriter: all ops that fit are reserved together and appended with one vectored
// write. With one op that asks for FUA the whole batch is made durable.
func (v *Volume) WriteBatch(ops []target.WriteOp) {
	w := writerPool.Get().(*writer)
	defer w.done()
	w.write(v, ops)
}

// WriteZeroes implements target.Device. It is one record, whatever the length, so ZeroFast is always honoured.
func (v *Volume) WriteZeroes(off, n int64, flags target.ZeroFlags) error {
	var f wal.Flags
	if flags&target.ZeroNoHole != 0 {
		f = wal.FlagNoHole
	}
	err := v.zero(off, n, f, flags&target.ZeroFUA != 0)
	if err == nil {
		v.stats.zeroed(n)
	}
	return err
}

// Trim implements target.Device.
func (v *Volume) Trim(off, n int64, fua bool) error {
	err := v.zero(off, n, wal.FlagTrim, fua)
	if err == nil {
		v.stats.trimmed(n)
	}
	return err
}

// Flush implements target.Device: one fdatasync of the log serves all who wait.
func (v *Volume) Flush() error {
	if err := v.check(0, 0); err != nil {
		return err
	}
	v.stats.flushed()
	if err := v.group.flush(); err != nil {
		return v.group.deviceError(err)
	}
	return nil
}
